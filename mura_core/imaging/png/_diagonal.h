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
            /* What a step takes from `left` to the next `left` is all that takes time, so whatever
               can be is done beside that. */
            VECTOR up = SHIFT_IN(left, firsts);
            VECTOR odd = AND(XOR(left, up), average_one);
            VECTOR average = OP(sub_epi8)(OP(avg_epu8)(left, up), odd);
            VECTOR simple = OR(AND(is_sub, left), OR(AND(is_up, up), AND(is_average, average)));
            VECTOR base = OP(add_epi8)(OP(add_epi8)(steps[i], simple), AND(is_paeth, corner));

            /* Paeth takes whichever of left, up and corner is nearest to left + up - corner. Let
               the corner be a above the lower of the other two and b below the higher, or 0 where
               it isn't. Then the lower is b away, the higher a, and the corner |a - b|: the lower
               is taken if 2b <= a, the higher if 2a <= b, else the corner. Where both are, all
               three are equal. */
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
