package carousel.layer;

import carousel.engine.Engine;
import carousel.engine.LstmState;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.stream.IntStream;

/**
 * The rows of a layer's state {@code [S, N, .]}, for what concerns the cells of a stack and not the single sequences: a look-up in a
 * table with one row a cell, as an embedding's.
 */
final class StateRows {
    private final Engine engine;
    private final Scope scope;
    private final LstmState state;
    private final int cells;
    private final int batchSize;

    private StateRows(Engine engine, Scope scope, LstmState state) {
        this.engine = engine;
        this.scope = scope;
        this.state = state;
        this.cells = state.h().shape().extent(0);
        this.batchSize = state.h().shape().extent(1);
    }

    /** @param scope for what is needed to work with it */
    static StateRows of(Engine engine, Scope scope, LstmState state) {
        return new StateRows(engine, scope, state);
    }

    /** {@code state[s, n] = one[s]}, with {@code h [S, P]} and {@code c [S, H]}. */
    void repeat(LstmState one) {
        Tensor cell = cellOfRow();
        engine.embeddingForward(cell, one.h(), Model.rows(state.h()));
        engine.embeddingForward(cell, one.c(), Model.rows(state.c()));
    }

    /** {@code one[s] += sum_n state[s, n]}: the way back through {@link #repeat}. */
    void sumInto(LstmState one) {
        Tensor cell = cellOfRow();
        engine.embeddingBackward(cell, Model.rows(state.h()), one.h());
        engine.embeddingBackward(cell, Model.rows(state.c()), one.c());
    }

    /** {@code h[S - 1, n] += h_n}, with {@code [N, P]}. */
    void addToTop(Tensor h) {
        int first = (cells - 1) * batchSize;
        engine.embeddingBackward(
                integers("rows of the top layer", IntStream.range(first, first + batchSize)), h, Model.rows(state.h()));
    }

    private Tensor cellOfRow() {
        return integers(
                "cells of the states", IntStream.range(0, cells * batchSize).map(row -> row / batchSize));
    }

    private Tensor integers(String name, IntStream values) {
        int[] rows = values.toArray();
        Tensor tensor = scope.allocateIntegers(name, rows.length);
        engine.write(tensor, rows);
        return tensor;
    }
}
