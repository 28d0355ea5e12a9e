/** Which part of the program may see which. */
package carousel.architecture;
