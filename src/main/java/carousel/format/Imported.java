package carousel.format;

import java.util.List;

/**
 * A model that was read from another program's file.
 *
 * @param weights the model
 * @param mapping what became of each part of the file, for people
 */
public record Imported(ModelWeights weights, List<Mapping> mapping) {
    /**
     * One part of a file and what became of it.
     *
     * @param source the part's name in the file, for instance {@code lstm/lstm_cell/kernel}
     * @param target what it is here, for instance {@code lstm.weight_ih_l0}; empty where it is left out
     * @param how what was done to it, for instance {@code transposed, gates i c f o reordered}; may be empty
     */
    public record Mapping(String source, String target, String how) {}

    public Imported {
        mapping = List.copyOf(mapping);
    }
}
