package carousel.examples;

import carousel.data.TokenStreams;
import carousel.data.Vocabulary;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.LstmSession;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.training.TokenSampler;
import carousel.training.Trainer;
import java.util.Arrays;
import java.util.Random;

/**
 * The next character of a text, after the recipe of AWD-LSTM (Merity, Keskar &amp; Socher 2018): stacked layers, locked dropout
 * between them, dropout of the recurrent weights, decoupled weight decay, clipped gradients, truncated back-propagation through time with the state carried from batch to batch.
 */
public final class LanguageModel {
    private LanguageModel() {}

    public static void main(String[] arguments) {
        String text = sentences(6_000, 1);
        System.out.println("perplexity of single letters " + unigramPerplexity(text));
        System.out.println("perplexity of the model " + testPerplexity("auto", text, sentences(600, 2), 4));
    }

    static double testPerplexity(String engineName, String training, String test, int epochs) {
        Vocabulary vocabulary = Vocabulary.of(training);
        ModelSpec spec = ModelSpec.of(
                Form.tokens(vocabulary.size()),
                Embedding.of(32),
                // Locked: the same numbers are dropped at every step of a stream.
                new Dropout(0.1, true),
                layer(),
                new Dropout(0.1, true),
                layer(),
                new Dropout(0.1, true),
                Dense.of(vocabulary.size()));
        // 32 streams side by side, 35 characters a step: each row of a batch goes on where the same row of the last one
        // ended.
        TokenStreams streams = new TokenStreams("sentences", vocabulary.encode(training), vocabulary.size(), 32, 35);
        TokenStreams held = new TokenStreams("more", vocabulary.encode(test), vocabulary.size(), 8, 100);
        try (Engine engine = Engines.open(engineName);
                Model model = Model.create(engine, spec, 1);
                Trainer trainer = Trainer.of(model)
                        .optimizer(Optimizer.adamW(0.005, 0.01).withMaxNorm(0.25))
                        .open()) {
            trainer.fit(streams, null, epochs);
            System.out.println(continued(model, vocabulary, "the ", 60));
            return Math.exp(trainer.evaluate(held).loss());
        }
    }

    /** An LSTM some of whose recurrent weights are dropped, the same for all steps of a batch (DropConnect). */
    private static Lstm layer() {
        return Lstm.of(LstmSpec.of(1, 64).withRecurrentWeightDropout(0.2)).withReturnSequences(true);
    }

    /** What the model makes of a beginning. */
    private static String continued(Model model, Vocabulary vocabulary, String beginning, int characters) {
        TokenSampler sampler = new TokenSampler(0.7, 0, 1);
        RandomSequence random = new RandomSequence(1, 0, 0);
        StringBuilder text = new StringBuilder(beginning);
        int[] next = vocabulary.encode(beginning);
        try (LstmSession session = new LstmSession(model, 1)) {
            for (int k = 0; k < characters; k++) {
                float[] outputs = session.run(new int[] {0}, next.length, next);
                float[] last = Arrays.copyOfRange(outputs, outputs.length - vocabulary.size(), outputs.length);
                next = new int[] {sampler.sample(last, random)};
                text.append(vocabulary.characters().charAt(next[0]));
            }
        }
        return text.toString();
    }

    /** What a model reaches that knows how frequent each letter is, and nothing else. */
    static double unigramPerplexity(String text) {
        double entropy = 0;
        for (int letter : text.chars().distinct().toArray()) {
            double share = text.chars().filter(other -> other == letter).count() / (double) text.length();
            entropy -= share * Math.log(share);
        }
        return Math.exp(entropy);
    }

    /** A text without end, to have one at hand. */
    static String sentences(int count, long seed) {
        String[] articles = {"the", "a", "every", "no"};
        String[] adjectives = {"small ", "green ", "sleepy ", "", ""};
        String[] nouns = {"dog", "river", "engineer", "carousel", "cloud"};
        String[] verbs = {"sees", "follows", "forgets", "remembers"};
        Random random = new Random(seed);
        StringBuilder text = new StringBuilder();
        for (int k = 0; k < count; k++) {
            text.append(phrase(random, articles, adjectives, nouns))
                    .append(pick(random, verbs))
                    .append(' ')
                    .append(phrase(random, articles, adjectives, nouns).trim())
                    .append(".\n");
        }
        return text.toString();
    }

    private static String phrase(Random random, String[] articles, String[] adjectives, String[] nouns) {
        return pick(random, articles) + " " + pick(random, adjectives) + pick(random, nouns) + " ";
    }

    private static String pick(Random random, String[] words) {
        return words[random.nextInt(words.length)];
    }
}
