/** How far the engines' results lie from the reference's over long sequences: the table of the page on numerics. */
package carousel.numerics;
