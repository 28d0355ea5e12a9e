package carousel.format.keras;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;

/** An archive by hand, of stored entries, in which each field of an entry can be given: for what no writer of archives writes. */
final class ZipBytes {
    private final ByteArrayOutputStream local = new ByteArrayOutputStream();
    private final ByteArrayOutputStream central = new ByteArrayOutputStream();
    private int count;

    /** Adds an entry as it should be. */
    void add(String name, byte[] content) {
        add(name, content, content.length, 0, 0, 0, 20);
    }

    /**
     * @param size what the archive says that the entry grows to
     * @param method of compression; the content is written as it is
     * @param flags 1 for encryption
     * @param attributes those of the file, in the upper half Unix'
     * @param madeBy in the upper byte the system, 3 for Unix
     */
    void add(String name, byte[] content, int size, int method, int flags, int attributes, int madeBy) {
        CRC32 crc = new CRC32();
        crc.update(content);
        byte[] encoded = name.getBytes(StandardCharsets.UTF_8);
        int offset = local.size();
        ByteBuffer header = buffer(30);
        header.putInt(0x04034b50).putShort((short) 20).putShort((short) flags).putShort((short) method);
        header.putInt(0).putInt((int) crc.getValue()).putInt(content.length).putInt(size);
        header.putShort((short) encoded.length).putShort((short) 0);
        local.writeBytes(header.array());
        local.writeBytes(encoded);
        local.writeBytes(content);
        ByteBuffer entry = buffer(46);
        entry.putInt(0x02014b50).putShort((short) madeBy).putShort((short) 20).putShort((short) flags);
        entry.putShort((short) method)
                .putInt(0)
                .putInt((int) crc.getValue())
                .putInt(content.length)
                .putInt(size);
        entry.putShort((short) encoded.length)
                .putShort((short) 0)
                .putShort((short) 0)
                .putShort((short) 0);
        entry.putShort((short) 0).putInt(attributes).putInt(offset);
        central.writeBytes(entry.array());
        central.writeBytes(encoded);
        count++;
    }

    byte[] bytes() {
        ByteBuffer end = buffer(22);
        end.putInt(0x06054b50).putInt(0).putShort((short) count).putShort((short) count);
        end.putInt(central.size()).putInt(local.size()).putShort((short) 0);
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        all.writeBytes(local.toByteArray());
        all.writeBytes(central.toByteArray());
        all.writeBytes(end.array());
        return all.toByteArray();
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
