package carousel.format.keras;

import io.jhdf.Superblock;
import io.jhdf.storage.HdfBackingStorage;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;

/**
 * What jHDF reads an HDF5 file from: bytes in memory, of which it gets views, and a budget. An honest file is read about once;
 * one whose structures point back at themselves uses the budget up and is left.
 */
final class MeteredBytes implements HdfBackingStorage {
    private static final int TIMES = 4;
    private static final int MORE = 1 << 18;
    /** What a reading costs at least: the objects made for it. */
    private static final int PER_READING = 32;

    private final ByteBuffer bytes;
    private final Superblock superblock;
    private long budget;

    MeteredBytes(ByteBuffer bytes, Superblock superblock) {
        this.bytes = bytes;
        this.superblock = superblock;
        this.budget = (long) TIMES * bytes.limit() + MORE;
    }

    /** Counts bytes that are used. */
    void charge(long count) {
        budget -= count + PER_READING;
        if (budget < 0) {
            throw new IllegalStateException("the structures of the file lead back to themselves");
        }
    }

    @Override
    public ByteBuffer readBufferFromAddress(long address, int length) {
        return map(address, length);
    }

    @Override
    public ByteBuffer map(long address, long length) {
        if (length < 0 || address < 0 || address > bytes.limit() || length > bytes.limit() - address) {
            throw new IllegalStateException("the file has no " + length + " bytes at " + address);
        }
        charge(length);
        return bytes.slice((int) address, (int) length).order(ByteOrder.LITTLE_ENDIAN);
    }

    @Override
    public ByteBuffer mapNoOffset(long address, long length) {
        return map(address, length);
    }

    @Override
    public long getUserBlockSize() {
        return 0;
    }

    @Override
    public Superblock getSuperblock() {
        return superblock;
    }

    @Override
    public FileChannel getFileChannel() {
        throw new UnsupportedOperationException("the file is in memory");
    }

    @Override
    public int getSizeOfOffsets() {
        return superblock.getSizeOfOffsets();
    }

    @Override
    public int getSizeOfLengths() {
        return superblock.getSizeOfLengths();
    }

    @Override
    public void close() {
        // Memory.
    }

    @Override
    public long size() {
        return bytes.limit();
    }

    @Override
    public boolean inMemory() {
        return true;
    }
}
