package carousel.engine.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CudaNativesTest {
    @TempDir
    Path folder;

    /** As a JVM that was killed while it wrote would leave it, in a version of JCuda that writes in place. */
    @Test
    void aFileCutShortIsReplaced() throws IOException {
        Path source = Files.write(folder.resolve("source"), new byte[100_000]);
        Path file = Files.write(folder.resolve("library.so"), new byte[17]);
        CudaNatives.unpack(source.toUri().toURL(), file);
        assertArrayEquals(new byte[100_000], Files.readAllBytes(file));
    }

    @Test
    void aWholeFileIsLeftAlone() throws IOException {
        Path source = Files.write(folder.resolve("source"), new byte[1000]);
        Path file = Files.write(folder.resolve("library.so"), new byte[1000]);
        Object before = Files.getAttribute(file, "unix:ino");
        CudaNatives.unpack(source.toUri().toURL(), file);
        assertEquals(before, Files.getAttribute(file, "unix:ino"), "the file was written again");
    }

    @Test
    void manyAtOnceSeeAWholeFileAndLeaveNothingElse() throws IOException, InterruptedException, ExecutionException {
        byte[] content = new byte[1 << 20];
        java.util.Arrays.fill(content, (byte) 7);
        Path source = Files.write(folder.resolve("source"), content);
        Path target = Files.createDirectory(folder.resolve("target")).resolve("library.so");
        ExecutorService threads = Executors.newFixedThreadPool(8);
        try {
            List<Future<byte[]>> seen = new ArrayList<>();
            for (int k = 0; k < 32; k++) {
                seen.add(threads.submit(() -> {
                    CudaNatives.unpack(source.toUri().toURL(), target);
                    return Files.readAllBytes(target);
                }));
            }
            for (Future<byte[]> one : seen) {
                assertArrayEquals(content, one.get());
            }
        } finally {
            threads.shutdownNow();
        }
        try (Stream<Path> left = Files.list(target.getParent())) {
            assertEquals(List.of(target), left.toList());
        }
    }
}
