/** The reference engine's gradients against finite differences of its own forward passes. */
package carousel.gradient;
