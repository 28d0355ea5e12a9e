/**
 * The seam between the mathematics and the machines: what an engine is asked to do and how it is found. Its unit of work
 * is a whole LSTM stack over a whole sequence.
 */
package carousel.engine;
