package carousel.cli;

import carousel.data.Batch;
import carousel.data.DataException;
import carousel.data.SequenceDataset;
import carousel.data.SequencePairs;
import carousel.layer.GreedyDecoder;
import carousel.layer.Model;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;

/** What a model with an encoder answers to sources, line by line or as JSON. */
final class Answers {
    /** So many sources are answered at once. */
    private static final int AT_ONCE = 250;

    private final SequencePairs pairs;
    private final GreedyDecoder decoder;
    private final PrintWriter out;
    private final JsonArray predictions;

    /** @param predictions where the answers go; null to print them */
    Answers(SequencePairs pairs, Model model, PrintWriter out, JsonArray predictions) {
        this.pairs = pairs;
        this.decoder = new GreedyDecoder(model, pairs.start(), pairs.end(), pairs.longestAnswer() + 1);
        this.out = out;
        this.predictions = predictions;
    }

    /**
     * Answers each line; empty ones are left out.
     *
     * @param name where the lines are from, for messages
     */
    void toLines(BufferedReader lines, String name) throws IOException {
        List<int[]> sources = new ArrayList<>();
        int number = 0;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            number++;
            if (line.isBlank()) {
                continue;
            }
            try {
                sources.add(pairs.source(line.strip()));
            } catch (IllegalArgumentException e) {
                // The lines before it were good.
                answer(sources, null);
                out.flush();
                throw new DataException("line " + number + " of " + name + ": " + e.getMessage(), e);
            }
            // Whoever waits for an answer before the next line gets it.
            if (sources.size() == AT_ONCE || !lines.ready()) {
                answer(sources, null);
                out.flush();
                sources.clear();
            }
        }
        answer(sources, null);
    }

    /** Answers test data, beside what is right. */
    void toExamples(SequenceDataset test, int count) {
        List<int[]> sources = new ArrayList<>();
        List<int[]> truths = new ArrayList<>();
        Batch one = test.newBatch(1);
        for (int k = 0; k < count; k++) {
            test.read(k, one, 0);
            int[] source = new int[one.source().lengths()[0]];
            System.arraycopy(one.source().tokens(), 0, source, 0, source.length);
            sources.add(source);
            truths.add(pairs.answer(source));
        }
        answer(sources, truths);
    }

    private void answer(List<int[]> sources, List<int[]> truths) {
        if (sources.isEmpty()) {
            return;
        }
        int count = sources.size();
        int steps = sources.stream().mapToInt(source -> source.length).max().orElseThrow();
        int[] tokens = new int[steps * count];
        int[] lengths = new int[count];
        for (int n = 0; n < count; n++) {
            lengths[n] = sources.get(n).length;
            for (int t = 0; t < lengths[n]; t++) {
                tokens[t * count + n] = sources.get(n)[t];
            }
        }
        int[][] answers = decoder.decode(steps, tokens, lengths);
        for (int n = 0; n < count; n++) {
            String truth = truths == null ? null : pairs.text(truths.get(n));
            report(pairs.text(sources.get(n)), pairs.text(answers[n]), truth);
        }
    }

    private void report(String source, String answer, String truth) {
        if (predictions == null) {
            String wrong = truth == null || truth.equals(answer) ? "" : " (wrong: it is " + truth + ")";
            out.println(source + " -> " + answer + wrong);
            return;
        }
        JsonObject object = new JsonObject();
        object.addProperty("source", source);
        object.addProperty("answer", answer);
        if (truth != null) {
            object.addProperty("truth", truth);
        }
        predictions.add(object);
    }
}
