/**
 * Files in and out. Whatever is written as a whole goes through {@link carousel.format.AtomicFile}; whatever is read is
 * not trusted, and a file that does not follow its format is refused with a {@link carousel.format.FormatException}.
 */
package carousel.format;
