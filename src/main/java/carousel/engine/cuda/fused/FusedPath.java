package carousel.engine.cuda.fused;

import carousel.engine.cuda.Pinned;
import java.util.Optional;

/** The ways in which the steps of a layer of plain cells are run. Each gives the same but for the last bits. */
enum FusedPath {
    /** A product and a kernel a step: takes everything. */
    POINTWISE("pointwise"),
    /** One kernel for all steps, whose blocks hold the recurrent weights in their registers. */
    RESIDENT("resident"),
    /** The same with the input weights beside them, for narrow inputs: the product with the inputs is made in the kernel. */
    RESIDENT_INPUTS("resident-inputs", RESIDENT),
    /** As {@link #RESIDENT} with the weights spread over the blocks of a cluster. */
    CLUSTER("cluster"),
    /** The same with the input weights beside them. */
    CLUSTER_INPUTS("cluster-inputs", CLUSTER),
    /** As {@link #CLUSTER} with as many blocks as it takes, all of which run at the same time. */
    GRID("grid");

    /** Which one runs every layer that it fits, see {@link #plain}; left out or {@value Pinned#AUTO}, the fastest one of each shape does. */
    static final String PROPERTY = "carousel.fused.path";

    private final String word;
    private final FusedPath plain;

    FusedPath(String word) {
        this.word = word;
        this.plain = this;
    }

    FusedPath(String word, FusedPath plain) {
        this.word = word;
        this.plain = plain;
    }

    /** As the property has it. */
    String word() {
        return word;
    }

    /** The same without the product with the inputs, which is made before: the path's own way back, and what runs layers of wide inputs. */
    FusedPath plain() {
        return plain;
    }

    /** Whether the product with the inputs is made in the kernel. */
    boolean withInputs() {
        return plain != this;
    }

    /** What the property {@value #PROPERTY} asks for; nothing for the fastest. */
    static Optional<FusedPath> pinned() {
        return Pinned.by(PROPERTY, values(), FusedPath::word);
    }
}
