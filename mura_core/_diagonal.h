/* Undo the filters of a block of rows along its anti-diagonal.

   `_unfilter.h` includes this file once for each kind of vector, after defining
     NAME(x)      x with a suffix of the kind
     TARGET       the function attribute that allows its instructions
     VECTOR       its type
     OP(x)        the intrinsic x of its width
     CHAINS       how many 16 bytes it holds
     LOAD(c, d)   the bytes at `c`, and with two chains those at `c` + `d` as well
     STORE(c, d, v)
     SHIFT_IN(v, firsts), NEXT(firsts), FIRSTS(v)   see below

   A pixel needs its left, upper and upper left neighbours, which makes a row of Average or Paeth
   pixels one long chain of single bytes. But lane r of a vector can be row r, r columns behind
   lane 0: then the step before holds each lane's left neighbour, and, one lane up, its upper one.
   Sixteen rows make a chain; of two chains in a vector the lower one runs LAG columns behind, so
   that the row above it is complete in memory when it is read. Rows may have different filters:
   each lane picks its own prediction by a mask. */

/* Turn 16 rows of 16 bytes into 16 columns, or back: four rounds of pairwise interleaving. */
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

/* All ones where x <= y, as unsigned bytes. */
TARGET static inline VECTOR NAME(at_most)(VECTOR x, VECTOR y)
{
    return OP(cmpeq_epi8)(OP(min_epu8)(x, y), x);
}

TARGET static inline VECTOR NAME(distance)(VECTOR x, VECTOR y)
{
    return OR(OP(subs_epu8)(x, y), OP(subs_epu8)(y, x));
}

TARGET static inline VECTOR NAME(choose)(VECTOR mask, VECTOR yes, VECTOR no)
{
    return OR(AND(mask, yes), AND_NOT(mask, no));
}

/* Undo CHAINS * 16 rows in place. `row` is the first of them, `pitch` bytes from row to row; the
   row above stands above it. Zeros lie before each row (BEFORE bytes), and room behind (BEHIND). */
TARGET static void NAME(undo_block)(const uint8_t *filters, uint8_t *row, size_t pitch,
                                    size_t width)
{
    const VECTOR kind = LOAD(filters, LANES);
    const VECTOR is_sub = OP(cmpeq_epi8)(kind, OP(set1_epi8)(SUB));
    const VECTOR is_up = OP(cmpeq_epi8)(kind, OP(set1_epi8)(UP));
    const VECTOR is_average = OP(cmpeq_epi8)(kind, OP(set1_epi8)(AVERAGE));
    const VECTOR is_paeth = OP(cmpeq_epi8)(kind, OP(set1_epi8)(PAETH));
    const VECTOR one = OP(set1_epi8)(1);
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
            /* What a step takes from `left` to the next `left` is all that takes time, so whatever
               can be is done beside that, and the filter and the addition before the last choice. */
            VECTOR up = SHIFT_IN(left, firsts);
            VECTOR odd = AND(XOR(left, up), one);
            VECTOR average = OP(sub_epi8)(OP(avg_epu8)(left, up), odd);
            VECTOR simple = OR(AND(is_sub, left), OR(AND(is_up, up), AND(is_average, average)));
            VECTOR base = OP(add_epi8)(steps[i], simple);

            VECTOR to_left = NAME(distance)(up, corner);
            VECTOR to_up = NAME(distance)(left, corner);
            VECTOR left_or_up = NAME(choose)(NAME(at_most)(to_left, to_up), left, up);
            /* |left + up - 2 corner| is the distance between the two where they point opposite
               ways. Where they point the same way it is their sum, beyond both, so that the corner
               isn't chosen. */
            VECTOR same_way =
                OP(cmpeq_epi8)(NAME(at_most)(corner, up), NAME(at_most)(corner, left));
            VECTOR to_corner = OR(same_way, NAME(distance)(to_left, to_up));
            VECTOR nearer = NAME(at_most)(OP(min_epu8)(to_left, to_up), to_corner);
            left = NAME(choose)(nearer, OP(add_epi8)(base, AND(is_paeth, left_or_up)),
                                OP(add_epi8)(base, AND(is_paeth, corner)));
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
#undef AND_NOT
#undef CHAINS
#undef LOAD
#undef STORE
#undef SHIFT_IN
#undef NEXT
#undef FIRSTS
