package carousel.property;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import carousel.engine.Philox;
import carousel.engine.RandomKey;
import org.junit.jupiter.api.Test;

/** The known-answer vectors of philox4x32-10 that come with the authors' Random123 library. */
class PhiloxTest {
    @Test
    void zeros() {
        assertArrayEquals(new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, block(0, 0, 0, 0, 0));
    }

    @Test
    void ones() {
        assertArrayEquals(new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, block(-1, -1, -1, -1, -1L));
    }

    @Test
    void digitsOfPi() {
        assertArrayEquals(
                new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
                block(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0x299f31d0_a4093822L));
    }

    /** The counter of a key is (block, stream, call low, call high). */
    @Test
    void keysNameTheirCounters() {
        int[] words = new int[Philox.WORDS];
        new RandomKey(0x299f31d0_a4093822L, 0x85a308d3, 0x03707344_13198a2eL).block(0x243f6a88, words);
        assertArrayEquals(new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}, words);
    }

    private static int[] block(int counter0, int counter1, int counter2, int counter3, long key) {
        int[] words = new int[Philox.WORDS];
        Philox.block(counter0, counter1, counter2, counter3, key, words);
        return words;
    }
}
