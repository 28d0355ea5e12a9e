package carousel.engine.vector;

/**
 * The passes of a cell with options. In the words of {@link carousel.engine.LstmSpec}, with what each reads and writes in {@link
 * CellStep}:
 *
 * @param intoCell from the pre-activations, or from their shares u and v where these are normalised, to the gates and {@code c'}
 * @param outOfCell from {@code c'} to {@code m = o * psi(s)}, the carried c, and the record for the way back
 * @param hidden from the new h to the carried one, and to what of it is seen at the next step
 * @param splitHidden on the way back, what of a gradient of h goes to the new h and what to the previous one
 * @param joinHidden the gradient of the previous h from what went to it and what was seen of it
 * @param backToCell from the gradient of m to that of o's pre-activation and of s; normalised, also the terms of the sums over H
 * @param backToGates from there to the gradients of all pre-activations and of the previous c; normalised, also the terms of the sums
 *     over 4H
 * @param backToShares from there, with the sums over 4H, to the gradients of u and v
 */
record CellPasses(
        Pass[] intoCell,
        Pass[] outOfCell,
        Pass[] hidden,
        Pass[] splitHidden,
        Pass[] joinHidden,
        Pass[] backToCell,
        Pass[] backToGates,
        Pass[] backToShares) {}
