/* Reverse the filters of a block of rows along its anti-diagonals.

   `_unfilter.h` includes this file once per vector type, after defining
     NAME(x)      x with a suffix for the vector type
     TARGET       the function attribute that enables its instructions
     VECTOR       the vector type
     OP(x)        the intrinsic x for its width
     CHAINS       its width in units of 16 bytes
     LOAD(c, d)   the 16 bytes at `c` and, with two chains, also those at `c` + `d`
     STORE(c, d, v)
     SHIFT_IN(v, firsts), NEXT(firsts), FIRSTS(v)   see below

   A pixel depends on its left, upper and upper left neighbours, so a row of Average or Paeth pixels
   is a serial chain of single bytes. To process rows in parallel, lane r of a vector is row r, r
   columns behind lane 0: the previous step then holds the left neighbour in the same lane, and the
   upper neighbour one lane above. A chain is sixteen rows. With two chains in a vector, the lower
   one runs LAG columns behind, so that the row above it is complete in memory when it is read. Rows
   may have different filters: a mask selects the prediction of each lane. */

/* Transpose 16 rows of 16 bytes by four rounds of pairwise interleaving. */
TARGET static void NAME(transpose)(VECTOR rows[LANES])
{
    VECTOR next[LANES];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = OP(unpacklo_epi8)(rows[i], rows[i + LANES / 2]);
            next[2 * i + 1] = OP(unpackhi_epi8)(rows[i], rows[i + LANES / 2]);
        }
        memcpy(rows, next, sizeof next);
    }
}

/* All ones where x <= y, for unsigned bytes. */
TARGET static inline VECTOR NAME(at_most)(VECTOR x, VECTOR y)
{
    return OP(cmpeq_epi8)(OP(min_epu8)(x, y), x);
}

/* Reverse the filters of CHAINS * 16 rows in place. `row` is the first row, and `pitch` the distance
   between rows in bytes; the row above the block precedes `row`. Each row has BEFORE zero bytes in
   front of it and BEHIND bytes of scratch space after it. */
TARGET static void NAME(undo_block)(const uint8_t *filters, uint8_t *row, size_t pitch,
                                    size_t width)
{
    const VECTOR kind = LOAD(filters, LANES);
    const VECTOR is_sub = OP(cmpeq_epi8)(kind, OP(set1_epi8)(SUB));
    const VECTOR is_up = OP(cmpeq_epi8)(kind, OP(set1_epi8)(UP));
    const VECTOR is_average = OP(cmpeq_epi8)(kind, OP(set1_epi8)(AVERAGE));
    const VECTOR is_paeth = OP(cmpeq_epi8)(kind, OP(set1_epi8)(PAETH));
    const VECTOR average_one = AND(is_average, OP(set1_epi8)(1));
    const ptrdiff_t next_chain MAY_BE_UNUSED = (ptrdiff_t)(LANES * pitch) - LAG;
    const size_t end = width + LANES - 1 + LAG * (CHAINS - 1);
    VECTOR left = OP(set1_epi8)(0), corner = left;

    for (size_t column = 0; column < end; column += LANES) {
        VECTOR steps[LANES];
        uint8_t *first = row + column;
        VECTOR firsts = FIRSTS(LOAD(first - pitch, next_chain));
        for (ptrdiff_t r = 0; r < LANES; r++)
            steps[r] = LOAD(first + r * (ptrdiff_t)(pitch - 1), next_chain);
        NAME(transpose)(steps);
        for (int i = 0; i < LANES; i++) {
            /* The dependency from `left` to the next `left` limits the speed, so everything else is
               computed off this critical path. */
            VECTOR up = SHIFT_IN(left, firsts);
            VECTOR odd = AND(XOR(left, up), average_one);
            VECTOR average = OP(sub_epi8)(OP(avg_epu8)(left, up), odd);
            VECTOR simple = OR(AND(is_sub, left), OR(AND(is_up, up), AND(is_average, average)));
            VECTOR base = OP(add_epi8)(OP(add_epi8)(steps[i], simple), AND(is_paeth, corner));

            /* Paeth selects whichever of left, up and corner is nearest to left + up - corner. Let
               a = max(corner - lower, 0) and b = max(higher - corner, 0), where lower and higher
               are the minimum and maximum of left and up. If the corner is between them, the
               distances are b for the lower, a for the higher and |a - b| for the corner: the lower
               is selected if 2b <= a, the higher if 2a <= b, otherwise the corner. If both
               conditions hold, all three are equal. The conditions also hold for a corner outside
               them, where a or b is 0. */
            VECTOR lower = OP(min_epu8)(left, up), higher = OP(max_epu8)(left, up);
            VECTOR a = OP(subs_epu8)(corner, lower), b = OP(subs_epu8)(higher, corner);
            VECTOR is_lower = NAME(at_most)(b, OP(subs_epu8)(a, b));
            VECTOR is_higher = NAME(at_most)(a, OP(subs_epu8)(b, a));
            VECTOR below = AND(is_lower, AND(is_paeth, a));
            VECTOR above = AND(is_higher, AND(is_paeth, b));
            left = OP(sub_epi8)(OP(add_epi8)(base, above), below);
            steps[i] = left;
            corner = up;
            firsts = NEXT(firsts);
        }
        NAME(transpose)(steps);
        for (ptrdiff_t r = 0; r < LANES; r++)
            STORE(first + r * (ptrdiff_t)(pitch - 1), next_chain, steps[r]);
    }
}

#undef NAME
#undef TARGET
#undef VECTOR
#undef OP
#undef OR
#undef XOR
#undef AND
#undef CHAINS
#undef LOAD
#undef STORE
#undef SHIFT_IN
#undef NEXT
#undef FIRSTS
