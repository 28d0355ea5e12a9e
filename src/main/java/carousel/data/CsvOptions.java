package carousel.data;

/**
 * How a CSV file is to be read; null leaves the choice to what the file looks like.
 *
 * @param separator between fields: comma, semicolon or tab
 * @param header whether the first line names the columns
 * @param decimalMark of numbers: point or comma
 */
public record CsvOptions(Character separator, Boolean header, Character decimalMark) {
    /** Everything as the file looks. */
    public static final CsvOptions DETECTED = new CsvOptions(null, null, null);

    public CsvOptions {
        if (separator != null && separator != ',' && separator != ';' && separator != '\t') {
            throw new IllegalArgumentException(
                    "the separator of a CSV file should be a comma, a semicolon or a tab but got "
                            + DataException.quote(separator.toString()));
        }
        if (decimalMark != null && decimalMark != '.' && decimalMark != ',') {
            throw new IllegalArgumentException("the decimal mark of a CSV file should be a point or a comma but got "
                    + DataException.quote(decimalMark.toString()));
        }
    }
}
