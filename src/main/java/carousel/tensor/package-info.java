/** Shapes, tensors and the scopes they live in. Imports nothing else of Carousel. */
package carousel.tensor;
