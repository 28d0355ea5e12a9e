/**
 * Layers and the models made of them. They own parameters and say in which order an engine does what; they do no arithmetic.
 */
package carousel.layer;
