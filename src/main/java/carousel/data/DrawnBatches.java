package carousel.data;

/** Batches of the sequences of a dataset, that says which they are: who has the dataset can make the same batches somewhere else. */
public interface DrawnBatches extends BatchSource {
    /**
     * The sequences of a batch, by their numbers in the dataset and in the order of its rows; one may be there twice.
     *
     * @param number as for {@link #batch}
     */
    int[] members(long number);

    /** Where the batches are drawn from. */
    SequenceDataset dataset();
}
