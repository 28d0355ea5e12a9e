/**
 * The truth that every other engine is tested against: the equations in plain double loops, without threads, SIMD or
 * cleverness. Finite differences check it.
 */
package carousel.engine.reference;
