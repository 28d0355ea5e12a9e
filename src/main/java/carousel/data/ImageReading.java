package carousel.data;

/** How a picture becomes a sequence. */
public enum ImageReading {
    /** One row of pixels a step, from the top: T = rows, C = columns. */
    ROWS,
    /** One pixel a step, row by row: T = rows * columns, C = 1. A known test of long memory. */
    PIXELS
}
