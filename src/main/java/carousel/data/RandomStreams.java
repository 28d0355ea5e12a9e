package carousel.data;

/**
 * What random numbers are drawn for in this package: each use has a stream of its own, so that one seed may serve them
 * all. They lie far above the small numbers that the layers of a model count up from.
 */
final class RandomStreams {
    /** Index: the epoch. */
    static final int SHUFFLE = 0x4441_0001;
    /** Index: always 0. */
    static final int SPLIT = 0x4441_0002;
    /** Index: the number of the picture. */
    static final int DIGITS = 0x4441_0003;
    /** Index: the number of the sequence. */
    static final int ADDING = 0x4441_0004;

    /** Index: the epoch. */
    static final int BUCKETS = 0x4441_0005;

    /** Index: the number of the pair. */
    static final int PAIRS = 0x4441_0006;

    /** Index: the source as a number. */
    static final int PAIRS_HELD_OUT = 0x4441_0007;

    private RandomStreams() {}
}
