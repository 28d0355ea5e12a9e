package carousel.cli;

import carousel.data.BatchSource;
import carousel.data.TextCorpus;
import carousel.data.TokenStreams;
import carousel.data.Vocabulary;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.ModelSpec;
import carousel.training.Evaluation;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The next character, or byte, of a text: a language model, trained by truncated back-propagation over contiguous streams. */
final class TextTask extends Task {
    /** Few streams, so that few characters are judged without what came before them. */
    private static final int EVALUATION_STREAMS = 8;

    private static final int EVALUATION_STEPS = 250;

    TextTask() {
        super(
                "text",
                Loss.SOFTMAX_CROSS_ENTROPY,
                "--data",
                "--time-steps",
                "--unit",
                "--embedding",
                "--document-separator");
    }

    /**
     * What only a text model is trained with.
     *
     * @param unit character or byte
     * @param embedding numbers per token
     * @param characters the vocabulary; null for bytes, and before the text has been read
     * @param separator the character that documents end with; null where the text is one
     */
    record Settings(String unit, int embedding, String characters, String separator) {
        static final Settings DEFAULT = new Settings("character", 64, null, null);

        Vocabulary.Unit kind() {
            return Check.choice("--unit", unit, Vocabulary.Unit.class);
        }

        /** The vocabulary of a trained model; null where it is not known yet. */
        Vocabulary vocabulary() {
            return kind() == Vocabulary.Unit.BYTE
                    ? Vocabulary.bytes()
                    : characters == null ? null : Vocabulary.of(characters);
        }
    }

    @Override
    String dataNeeded() {
        return "a text file";
    }

    @Override
    String useInstead() {
        return "generate";
    }

    @Override
    Defaults defaults(String preset) {
        return new Defaults(256, 2, 0.3, 32, 100, 0, 16, "adam", 0.003, 1, 1, 0.85);
    }

    @Override
    void requireWhole(RunConfig config) {
        Check.range("embedding", config.text().embedding(), 1, Integer.MAX_VALUE);
        if (config.text().vocabulary() == null) {
            throw new IllegalArgumentException("the vocabulary is missing");
        }
    }

    @Override
    long outputs(RunConfig config) {
        return config.text().vocabulary().size();
    }

    private static TextCorpus corpus(RunConfig config) throws IOException {
        return TextCorpus.read(
                Path.of(config.data()), config.text().kind(), config.text().vocabulary());
    }

    @Override
    Data data(RunConfig config) throws IOException {
        TextCorpus corpus = corpus(config);
        Vocabulary vocabulary = corpus.vocabulary();
        Settings settings = config.text();
        RunConfig found = config.withText(
                new Settings(settings.unit(), settings.embedding(), vocabulary.characters(), settings.separator()));
        int batch = Math.min(config.batch(), (corpus.training().length - 1) / 2);
        return new Data(
                found,
                model(found, vocabulary.size()),
                streams(corpus, corpus.training(), batch, config.timeSteps(), settings),
                evaluation(corpus, corpus.validation(), settings),
                test(corpus, settings));
    }

    /** A part of the text, whose documents know nothing of each other where it is told how they end. */
    private static TokenStreams streams(
            TextCorpus corpus, int[] tokens, int streams, int timeSteps, Settings settings) {
        int size = corpus.vocabulary().size();
        if (settings.separator() == null) {
            return new TokenStreams(corpus.name(), tokens, size, streams, timeSteps);
        }
        int[] separator = corpus.vocabulary().encode(settings.separator());
        if (separator.length != 1) {
            throw new IllegalArgumentException("--document-separator should be one " + settings.unit() + " but got '"
                    + settings.separator() + "', which is " + separator.length);
        }
        return TokenStreams.ofDocuments(corpus.name(), tokens, size, streams, timeSteps, separator[0]);
    }

    private static ModelSpec model(RunConfig config, int vocabulary) {
        List<Layer> layers = new ArrayList<>();
        layers.add(Embedding.of(config.text().embedding()));
        // On every connection but the recurrent ones, as in Zaremba et al.; less on what few numbers say of a
        // character.
        if (config.dropout() > 0) {
            layers.add(new Dropout(config.dropout() / 2));
        }
        layers.add(lstm(config, config.text().embedding()).withReturnSequences(true));
        if (config.dropout() > 0) {
            layers.add(new Dropout(config.dropout()));
        }
        layers.add(Dense.of(vocabulary));
        return new ModelSpec(Form.tokens(vocabulary), layers);
    }

    private static BatchSource evaluation(TextCorpus corpus, int[] tokens, Settings settings) {
        return streams(corpus, tokens, Math.min(EVALUATION_STREAMS, tokens.length - 1), EVALUATION_STEPS, settings);
    }

    private static Test test(TextCorpus corpus, Settings settings) {
        return new Test(
                evaluation(corpus, corpus.test(), settings),
                String.format(
                        Locale.ROOT,
                        "the last %,d %ss of %s",
                        corpus.test().length,
                        corpus.vocabulary().unit(),
                        corpus.name()));
    }

    @Override
    Test test(RunConfig config) throws IOException {
        return test(corpus(config), config.text());
    }

    @Override
    String testLine(RunConfig config, Evaluation test) {
        String unit = config.text().kind().toString();
        return String.format(
                Locale.ROOT,
                "Testing Loss: %.4f nats a %s (%.4f bits a %s, perplexity %.4f)",
                test.loss(),
                unit,
                test.loss() / Math.log(2),
                unit,
                Math.exp(test.loss()));
    }

    @Override
    String className(RunConfig config, int index) {
        return new String(config.text().vocabulary().decode(index), StandardCharsets.UTF_8);
    }
}
