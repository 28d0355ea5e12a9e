package carousel.format.keras;

import carousel.format.FormatException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * A ZIP archive in memory. Entries are read by name, in memory and one at a time; no name is ever made a path. The archive as a
 * whole is refused where any entry is one that a model saved by Keras does not have and that archives made to do harm do: a name
 * that leaves the folder, a link, the same name twice, encryption, sizes that do not fit the file.
 *
 * <p>What is wrong with an archive is a {@link Refusal}.
 */
final class KerasZip {
    private static final int LOCAL = 0x04034b50;
    private static final int CENTRAL = 0x02014b50;
    private static final int END = 0x06054b50;
    private static final int LOCAL_BYTES = 30;
    private static final int CENTRAL_BYTES = 46;
    private static final int END_BYTES = 22;
    private static final int LONGEST_COMMENT = 0xFFFF;
    private static final int STORED = 0;
    private static final int DEFLATED = 8;
    private static final int ENCRYPTED = 1 | 1 << 6 | 1 << 13;
    private static final int UNIX = 3;
    private static final int FILE_TYPE = 0170000;
    private static final int LINK = 0120000;
    /** An entry that grows more than this when it is inflated; Keras stores without compression, and text shrinks tenfold. */
    private static final int LARGEST_GROWTH = 64;
    /** Not counted against a very small entry. */
    private static final int GROWTH_FLOOR = 4096;

    private final ByteBuffer bytes;
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private record Entry(int method, long crc, int compressed, int size, int header) {}

    /** Whether this is the beginning of an archive with something in it. */
    static boolean begins(byte[] content) {
        return content.length >= 4
                && ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).getInt(0) == LOCAL;
    }

    KerasZip(byte[] content) {
        this.bytes = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
        int end = end();
        int count = unsigned(end + 10);
        if (unsigned(end + 4) != 0 || unsigned(end + 6) != 0 || unsigned(end + 8) != count) {
            throw new Refusal("its archive is spread over several files, which Keras does not do");
        }
        int directoryBytes = size(end + 12, "the directory of its archive");
        int directory = size(end + 16, "the start of the directory of its archive");
        if ((long) directory + directoryBytes != end) {
            throw damaged();
        }
        long all = 0;
        int at = directory;
        for (int k = 0; k < count; k++) {
            if (end - at < CENTRAL_BYTES || bytes.getInt(at) != CENTRAL) {
                throw damaged();
            }
            int nameBytes = unsigned(at + 28);
            int next = at + CENTRAL_BYTES + nameBytes + unsigned(at + 30) + unsigned(at + 32);
            if (next > end) {
                throw damaged();
            }
            String name = name(at + CENTRAL_BYTES, nameBytes);
            requireHarmless(name, at);
            Entry entry = new Entry(
                    unsigned(at + 10),
                    bytes.getInt(at + 16) & 0xFFFF_FFFFL,
                    size(at + 20, "the entry " + FormatException.quote(name)),
                    size(at + 24, "the entry " + FormatException.quote(name)),
                    size(at + 42, "the place of the entry " + FormatException.quote(name)));
            all += LOCAL_BYTES + (long) nameBytes + entry.compressed;
            if (entry.size > GROWTH_FLOOR + (long) LARGEST_GROWTH * entry.compressed) {
                throw new Refusal("the entry " + FormatException.quote(name) + " of its archive has "
                        + entry.compressed + " bytes but would grow to " + entry.size
                        + ", which a model does not: save the model again with Keras");
            }
            if (entries.put(name, entry) != null) {
                throw new Refusal("its archive has two entries with the name " + FormatException.quote(name));
            }
            at = next;
        }
        if (at != end) {
            throw damaged();
        }
        if (all > directory) {
            throw new Refusal("the entries of its archive overlap");
        }
    }

    private static Refusal damaged() {
        return new Refusal("its archive is damaged or cut short; copy or download it again");
    }

    private int end() {
        int last = bytes.limit() - END_BYTES;
        for (int at = last; at >= Math.max(0, last - LONGEST_COMMENT); at--) {
            if (bytes.getInt(at) == END && unsigned(at + 20) == last - at) {
                return at;
            }
        }
        throw damaged();
    }

    private int unsigned(int at) {
        return Short.toUnsignedInt(bytes.getShort(at));
    }

    private int size(int at, String what) {
        int size = bytes.getInt(at);
        if (size < 0) {
            throw new Refusal(what + " should be smaller than 2 GiB but is " + Integer.toUnsignedString(size)
                    + " bytes large or far: larger models are not read");
        }
        return size;
    }

    private String name(int at, int length) {
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(bytes.slice(at, length))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new Refusal("its archive has an entry whose name is not valid UTF-8", e);
        }
    }

    private void requireHarmless(String name, int at) {
        String quoted = FormatException.quote(name);
        boolean leaves = name.isEmpty() || name.startsWith("/") || name.indexOf('\\') >= 0 || name.indexOf(':') >= 0;
        for (String part : name.split("/", -1)) {
            leaves |= part.equals("..") || part.equals(".");
        }
        if (leaves || name.chars().anyMatch(Character::isISOControl)) {
            throw new Refusal("its archive has an entry with the name " + quoted
                    + ", which could lead out of a folder: it does not come from Keras");
        }
        if ((unsigned(at + 8) & ENCRYPTED) != 0) {
            throw new Refusal(
                    "the entry " + quoted + " of its archive is encrypted: save the model without a password");
        }
        if (unsigned(at + 4) >>> 8 == UNIX && (bytes.getInt(at + 38) >>> 16 & FILE_TYPE) == LINK) {
            throw new Refusal("the entry " + quoted + " of its archive is a link, which Keras does not write");
        }
    }

    /** The content of an entry: a view of the archive where it is stored without compression. */
    ByteBuffer read(String name) {
        Entry entry = entries.get(name);
        if (entry == null) {
            throw new Refusal("its archive has no entry '" + name + "': is it a model saved by Keras 3?");
        }
        if (entry.header > bytes.limit() - LOCAL_BYTES || bytes.getInt(entry.header) != LOCAL) {
            throw damaged();
        }
        int nameBytes = unsigned(entry.header + 26);
        long data = (long) entry.header + LOCAL_BYTES + nameBytes + unsigned(entry.header + 28);
        if (data > bytes.limit() - entry.compressed
                || !name(entry.header + LOCAL_BYTES, nameBytes).equals(name)) {
            throw damaged();
        }
        ByteBuffer stored = bytes.slice((int) data, entry.compressed);
        ByteBuffer content = switch (entry.method) {
            case STORED -> stored;
            case DEFLATED -> inflate(entry, stored);
            default ->
                throw new Refusal("the entry '" + name + "' of its archive should be stored (0) or deflated (8) but is"
                        + " compressed by method " + entry.method);
        };
        CRC32 crc = new CRC32();
        crc.update(content.duplicate());
        if (content.remaining() != entry.size || crc.getValue() != entry.crc) {
            throw new Refusal(
                    "the entry '" + name + "' of its archive does not have the checksum or size that the archive says;"
                            + " copy or download it again");
        }
        return content;
    }

    /** The size was compared with the compressed one when the directory was read. */
    private static ByteBuffer inflate(Entry entry, ByteBuffer stored) {
        byte[] content = new byte[entry.size];
        Inflater inflater = new Inflater(true);
        try {
            inflater.setInput(stored);
            int done = 0;
            while (done < content.length && !inflater.finished()) {
                int more = inflater.inflate(content, done, content.length - done);
                if (more == 0) {
                    throw damaged();
                }
                done += more;
            }
            if (!inflater.finished() && inflater.inflate(new byte[1]) > 0) {
                throw damaged();
            }
            return ByteBuffer.wrap(content, 0, done).slice();
        } catch (DataFormatException e) {
            throw new Refusal("its archive is damaged; copy or download it again", e);
        } finally {
            inflater.end();
        }
    }
}
