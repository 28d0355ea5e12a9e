package carousel.format.keras;

import carousel.format.FormatException;
import io.jhdf.FractalHeap;
import io.jhdf.GlobalHeap;
import io.jhdf.GroupSymbolTableNode;
import io.jhdf.LocalHeap;
import io.jhdf.ObjectHeader;
import io.jhdf.Superblock;
import io.jhdf.SymbolTableEntry;
import io.jhdf.Utils;
import io.jhdf.btree.BTreeV1;
import io.jhdf.btree.BTreeV2;
import io.jhdf.btree.record.AttributeNameForIndexedAttributesRecord;
import io.jhdf.btree.record.BTreeRecord;
import io.jhdf.btree.record.LinkNameForIndexedGroupRecord;
import io.jhdf.object.datatype.DataType;
import io.jhdf.object.datatype.FloatingPoint;
import io.jhdf.object.datatype.StringData;
import io.jhdf.object.datatype.VariableLength;
import io.jhdf.object.message.AttributeInfoMessage;
import io.jhdf.object.message.AttributeMessage;
import io.jhdf.object.message.DataLayoutMessage;
import io.jhdf.object.message.DataLayoutMessage.CompactDataLayoutMessage;
import io.jhdf.object.message.DataLayoutMessage.ContiguousDataLayoutMessage;
import io.jhdf.object.message.DataSpace;
import io.jhdf.object.message.DataSpaceMessage;
import io.jhdf.object.message.DataTypeMessage;
import io.jhdf.object.message.FilterPipelineMessage;
import io.jhdf.object.message.LinkInfoMessage;
import io.jhdf.object.message.LinkMessage;
import io.jhdf.object.message.SymbolTableMessage;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * An HDF5 file in memory, as far as Keras uses the format: groups, in the form of old files and in that of HDF5 1.8 and later,
 * text attributes, and datasets of floating point numbers stored in one piece. Nothing outside of the file is ever opened: links other than hard ones are refused, as are chunked and
 * compressed datasets.
 *
 * <p>jHDF reads the structures; it trusts the file, and damaged or malicious ones could make it loop or ask for memory without
 * end. So it reads through {@link MeteredBytes}, which gives out views of what is in memory and ends a reading that comes back
 * too often; every size is compared with the file's before anything is allocated.
 *
 * <p>What is wrong with a file is a {@link Refusal}.
 */
final class Hdf5 {
    private static final byte[] SIGNATURE = {(byte) 0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    private static final long UNDEFINED = -1;
    /** No name of a layer or a weight comes near. */
    private static final int LONGEST_NAME = 1024;
    /** Of a tree of names: each level multiplies by ten or more. */
    private static final int DEEPEST_TREE = 8;

    private final MeteredBytes bytes;
    private final Group root;
    /** What has been read: it would cost again. */
    private final Map<String, Group> groups = new HashMap<>();

    private final Map<Long, GlobalHeap> heaps = new HashMap<>();

    private Hdf5(ByteBuffer content) {
        Superblock superblock = Superblock.readSuperblock(content.duplicate().order(ByteOrder.LITTLE_ENDIAN));
        requireSize("offsets", superblock.getSizeOfOffsets());
        requireSize("lengths", superblock.getSizeOfLengths());
        if (superblock.getBaseAddressByte() != 0) {
            throw new Refusal("its HDF5 data should begin at byte 0 but begins at " + superblock.getBaseAddressByte());
        }
        this.bytes = new MeteredBytes(content, superblock);
        long address = superblock instanceof Superblock.SuperblockV0V1 old
                ? new SymbolTableEntry(bytes, old.getRootGroupSymbolTableAddress()).getObjectHeaderAddress()
                : ((Superblock.SuperblockV2V3) superblock).getRootGroupObjectHeaderAddress();
        this.root = new Group("/", address);
    }

    private static void requireSize(String what, int size) {
        if (size != 2 && size != 4 && size != 8) {
            throw new Refusal("the size of its HDF5 " + what + " should be 2, 4 or 8 but is " + size);
        }
    }

    /** Whether this is the beginning of an HDF5 file. */
    static boolean begins(byte[] content) {
        return content.length >= SIGNATURE.length && Arrays.equals(Arrays.copyOf(content, SIGNATURE.length), SIGNATURE);
    }

    static Hdf5 open(ByteBuffer content) {
        return guarded("its HDF5 header", () -> new Hdf5(content.slice()));
    }

    Group root() {
        return root;
    }

    /** A dataset's shape and numbers, row-major. */
    record Numbers(int[] shape, double[] values) {}

    /** jHDF's exceptions are many and its messages for programmers. */
    private static <T> T guarded(String what, Supplier<T> reading) {
        try {
            return reading.get();
        } catch (Refusal e) {
            throw e;
        } catch (RuntimeException | StackOverflowError e) {
            throw damaged(what, e);
        }
    }

    private static Refusal damaged(String what, Throwable cause) {
        return new Refusal(
                what + " is damaged or uses a part of HDF5 that Keras does not; copy the file again or save the model"
                        + " again with Keras",
                cause);
    }

    /** A group: its name, for messages, what it contains and its attributes. */
    final class Group {
        private final String path;
        private final Map<String, Optional<Long>> children;
        private final Map<String, AttributeMessage> attributes = new LinkedHashMap<>();

        private Group(String path, long address) {
            this.path = path;
            ObjectHeader header = ObjectHeader.readObjectHeader(bytes, address);
            this.children = header.hasMessageOfType(SymbolTableMessage.class) ? symbols(header) : links(header);
            attributes(header).forEach(attribute -> attributes.put(attribute.getName(), attribute));
        }

        /** The children's addresses; none for a link that is no hard one. */
        private Map<String, Optional<Long>> symbols(ObjectHeader header) {
            SymbolTableMessage table = header.getMessageOfType(SymbolTableMessage.class);
            ByteBuffer names = new LocalHeap(bytes, table.getLocalHeapAddress()).getDataBuffer();
            Map<String, Optional<Long>> found = new LinkedHashMap<>();
            for (long node :
                    BTreeV1.createGroupBTree(bytes, table.getBTreeAddress()).getChildAddresses()) {
                for (SymbolTableEntry entry : new GroupSymbolTableNode(bytes, node).getSymbolTableEntries()) {
                    names.position(entry.getLinkNameOffset());
                    ByteBuffer name = names.slice();
                    name.limit(Math.min(name.limit(), LONGEST_NAME));
                    boolean hard = entry.getCacheType() == 0 || entry.getCacheType() == 1;
                    found.put(
                            Utils.readUntilNull(name),
                            hard ? Optional.of(entry.getObjectHeaderAddress()) : Optional.empty());
                }
            }
            return found;
        }

        private Map<String, Optional<Long>> links(ObjectHeader header) {
            if (!header.hasMessageOfType(LinkInfoMessage.class)) {
                throw new Refusal(
                        FormatException.quote(path) + " should be a group of the HDF5 file but is something else");
            }
            LinkInfoMessage info = header.getMessageOfType(LinkInfoMessage.class);
            Map<String, Optional<Long>> found = new LinkedHashMap<>();
            List<LinkMessage> compact = header.getMessagesOfType(LinkMessage.class);
            boolean dense = info.getBTreeNameIndexAddress() != UNDEFINED;
            for (LinkMessage link : dense ? dense(info) : compact) {
                boolean hard = link.getLinkType() == LinkMessage.LinkType.HARD;
                found.put(link.getLinkName(), hard ? Optional.of(link.getHardLinkAddress()) : Optional.empty());
            }
            return found;
        }

        /** The links of a group of many in newer files: a tree of their names, and the links themselves in a heap. */
        private List<LinkMessage> dense(LinkInfoMessage info) {
            FractalHeap heap = fractalHeap(info.getFractalHeapAddress());
            List<LinkMessage> links = new ArrayList<>();
            for (BTreeRecord each : records(info.getBTreeNameIndexAddress())) {
                ByteBuffer link = heap.getId(((LinkNameForIndexedGroupRecord) each).getId());
                bytes.charge(link.remaining());
                links.add(LinkMessage.fromBuffer(link, bytes.getSuperblock()));
            }
            return links;
        }

        /** The same for attributes. */
        private List<AttributeMessage> attributes(ObjectHeader header) {
            List<AttributeMessage> found = new ArrayList<>(header.getMessagesOfType(AttributeMessage.class));
            for (AttributeInfoMessage info : header.getMessagesOfType(AttributeInfoMessage.class)) {
                if (info.getAttributeNameBTreeAddress() != UNDEFINED) {
                    FractalHeap heap = fractalHeap(info.getFractalHeapAddress());
                    for (BTreeRecord each : records(info.getAttributeNameBTreeAddress())) {
                        AttributeNameForIndexedAttributesRecord name = (AttributeNameForIndexedAttributesRecord) each;
                        ByteBuffer attribute = heap.getId(name.getHeapId());
                        bytes.charge(attribute.remaining());
                        found.add(new AttributeMessage(attribute, bytes, name.getFlags()));
                    }
                }
            }
            return found;
        }

        String path() {
            return path;
        }

        boolean has(String name) {
            return children.containsKey(name);
        }

        /** The group at a path of names with slashes between them, or null where there is none. */
        Group group(String names) {
            Group group = this;
            for (String name : names.split("/")) {
                if (!group.has(name)) {
                    return null;
                }
                group = group.child(name);
            }
            return group;
        }

        private Group child(String name) {
            String below = below(name);
            Group known = groups.get(below);
            if (known != null) {
                return known;
            }
            Group read = guarded("the group " + FormatException.quote(below), () -> new Group(below, address(name)));
            groups.put(below, read);
            return read;
        }

        private String below(String name) {
            return (path.equals("/") ? "" : path) + "/" + name;
        }

        private long address(String name) {
            return children.get(name)
                    .orElseThrow(() -> new Refusal(FormatException.quote(below(name))
                            + " is a soft or external link, which Keras does not write and which is not followed"));
        }

        /** The dataset at a path of names, or null where there is none. */
        Numbers numbers(String names) {
            int slash = names.lastIndexOf('/');
            Group group = slash < 0 ? this : group(names.substring(0, slash));
            String name = names.substring(slash + 1);
            if (group == null || !group.has(name)) {
                return null;
            }
            return guarded(
                    "the dataset " + FormatException.quote(group.below(name)),
                    () -> readNumbers(group.below(name), group.address(name)));
        }

        /** The attribute of this name as lines of text, or null where there is none. */
        List<String> text(String name) {
            AttributeMessage attribute = attributes.get(name);
            return attribute == null
                    ? null
                    : guarded(
                            "the attribute " + FormatException.quote(name) + " of " + FormatException.quote(path),
                            () -> readText(name, attribute));
        }

        private List<String> readText(String name, AttributeMessage attribute) {
            ByteBuffer data = attribute.getDataBuffer();
            DataType type = attribute.getDataType();
            long count = elements(attribute.getDataSpace());
            if (count == 0) {
                return List.of();
            }
            boolean variable = type instanceof VariableLength length && length.isVariableLengthString();
            if (!variable && !(type instanceof StringData)) {
                throw new Refusal("the attribute " + FormatException.quote(name) + " of "
                        + FormatException.quote(path) + " should be text but is "
                        + type.getClass().getSimpleName());
            }
            int size = type.getSize();
            if (size < 1 || count > data.remaining() / size) {
                throw new Refusal("the attribute " + FormatException.quote(name) + " of "
                        + FormatException.quote(path) + " claims " + count + " texts of " + size + " bytes but has "
                        + data.remaining() + " bytes");
            }
            List<String> texts = new ArrayList<>((int) count);
            for (int k = 0; k < count; k++) {
                ByteBuffer element =
                        data.slice(data.position() + k * size, size).order(ByteOrder.LITTLE_ENDIAN);
                texts.add(decode(variable ? heapObject(element) : element));
            }
            return texts;
        }
    }

    /** jHDF makes a list of as many records as the header says, and powers of the depth. */
    private List<BTreeRecord> records(long address) {
        int offsets = bytes.getSizeOfOffsets();
        ByteBuffer header = bytes.map(address, 18 + offsets + bytes.getSizeOfLengths());
        long all = Utils.readBytesAsUnsignedLong(header.position(18 + offsets), bytes.getSizeOfLengths());
        int depth = Short.toUnsignedInt(header.getShort(12));
        if (all > bytes.size() || depth > DEEPEST_TREE) {
            throw new IllegalStateException("a tree claims to have " + all + " records at a depth of " + depth);
        }
        return new BTreeV2<>(bytes, address).getRecords();
    }

    /** jHDF makes a list of as many blocks as the header says. */
    private FractalHeap fractalHeap(long address) {
        int offsets = bytes.getSizeOfOffsets();
        int lengths = bytes.getSizeOfLengths();
        int width = 14 + 10 * lengths + 2 * offsets;
        int rows = width + 6 + 2 * lengths + offsets;
        ByteBuffer header = bytes.map(address, rows + 2);
        long blocks = (long) Short.toUnsignedInt(header.getShort(width)) * Short.toUnsignedInt(header.getShort(rows));
        if (blocks > bytes.size()) {
            throw new IllegalStateException("a heap claims to have " + blocks + " blocks");
        }
        return new FractalHeap(bytes, address);
    }

    /** What an element of variable length refers to: its length, the address of a heap and an index there. */
    private ByteBuffer heapObject(ByteBuffer element) {
        int length = element.getInt();
        long heap = Utils.readBytesAsUnsignedLong(element, bytes.getSizeOfOffsets());
        int index = element.getInt();
        if (length == 0) {
            return ByteBuffer.allocate(0);
        }
        ByteBuffer data = heaps.computeIfAbsent(heap, address -> new GlobalHeap(bytes, address))
                .getObjectData(index);
        data.limit(data.position() + length);
        bytes.charge(length);
        return data;
    }

    private static String decode(ByteBuffer text) {
        ByteBuffer end = text.slice();
        int length = 0;
        while (length < end.limit() && end.get(length) != 0) {
            length++;
        }
        return StandardCharsets.UTF_8.decode(end.limit(length)).toString();
    }

    /** Elements of a dataspace, or {@link Long#MAX_VALUE} where they are too many to be counted. */
    private static long elements(DataSpace space) {
        long count = 1;
        for (long extent : space.getDimensionsAsLong()) {
            if (extent < 0 || extent > 0 && count > Long.MAX_VALUE / extent) {
                return Long.MAX_VALUE;
            }
            count *= extent;
        }
        return count;
    }

    private Numbers readNumbers(String path, long address) {
        ObjectHeader header = ObjectHeader.readObjectHeader(bytes, address);
        String name = FormatException.quote(path);
        if (!header.hasMessageOfType(DataSpaceMessage.class)) {
            throw new Refusal(name + " should be a dataset of the HDF5 file but is a group");
        }
        DataLayoutMessage layout = header.getMessageOfType(DataLayoutMessage.class);
        boolean inOnePiece =
                layout instanceof CompactDataLayoutMessage || layout instanceof ContiguousDataLayoutMessage;
        if (header.hasMessageOfType(FilterPipelineMessage.class) || !inOnePiece) {
            throw new Refusal("the dataset " + name + " is stored in chunks or compressed, which Keras"
                    + " does not do: repack the file with h5repack -l CONTI -f NONE");
        }
        DataType type = header.getMessageOfType(DataTypeMessage.class).getDataType();
        if (!(type instanceof FloatingPoint real) || !isIeee(real)) {
            throw new Refusal("the dataset " + name
                    + " should hold floating point numbers of 2, 4 or 8 bytes as IEEE 754 has them" + " but holds "
                    + type.getClass().getSimpleName() + " of " + type.getSize() + " bytes");
        }
        DataSpace space = header.getMessageOfType(DataSpaceMessage.class).getDataSpace();
        long count = elements(space);
        if (count > bytes.size() / real.getSize()) {
            throw new Refusal("the dataset " + name + " claims to be "
                    + Arrays.toString(space.getDimensionsAsLong()) + " numbers of " + real.getSize()
                    + " bytes but the file has " + bytes.size() + " bytes; copy or download it again");
        }
        long wanted = count * real.getSize();
        ByteBuffer data;
        if (layout instanceof ContiguousDataLayoutMessage contiguous) {
            if (wanted > 0 && contiguous.getAddress() == UNDEFINED) {
                throw new Refusal("the dataset " + name + " was never written");
            }
            data = bytes.map(wanted == 0 ? 0 : contiguous.getAddress(), wanted);
        } else {
            data = ((CompactDataLayoutMessage) layout).getDataBuffer().slice();
        }
        if (data.remaining() < wanted) {
            throw new Refusal("the dataset " + name + " should have " + wanted + " bytes but has " + data.remaining());
        }
        data.order(real.getByteOrder());
        double[] values = new double[(int) count];
        for (int e = 0; e < values.length; e++) {
            values[e] = switch (real.getSize()) {
                case 2 -> FloatingPoint.toFloat(data.getShort());
                case 4 -> data.getFloat();
                default -> data.getDouble();
            };
        }
        int[] shape = Arrays.stream(space.getDimensionsAsLong())
                .mapToInt(Math::toIntExact)
                .toArray();
        return new Numbers(shape, values);
    }

    private static boolean isIeee(FloatingPoint type) {
        return switch (type.getSize()) {
            case 2 -> type.getExponentSize() == 5 && type.getMantissaSize() == 10;
            case 4 -> type.getExponentSize() == 8 && type.getMantissaSize() == 23;
            case 8 -> type.getExponentSize() == 11 && type.getMantissaSize() == 52;
            default -> false;
        };
    }
}
