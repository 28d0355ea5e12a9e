package carousel.spark;

/** What becomes of a record that is no sequence as it should be, such as one with a value that is not a finite number. */
public enum BadRecords {
    /** The job ends with a sentence about the first one that was met. */
    STOP,
    /** It is left out and counted, and some of them are described in the log. */
    SKIP
}
