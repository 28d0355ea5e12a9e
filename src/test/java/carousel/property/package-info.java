/** Laws that hold whatever the numbers are. */
package carousel.property;
