package carousel.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.BucketedBatches;
import carousel.data.CsvOptions;
import carousel.data.ForecastComparison;
import carousel.data.LabelledSequences;
import carousel.data.MissingValues;
import carousel.data.PreparedSeries;
import carousel.data.ScaledSequences;
import carousel.data.SequenceDataset;
import carousel.data.SequentialBatches;
import carousel.data.Series;
import carousel.data.SeriesParts;
import carousel.data.SeriesParts.Part;
import carousel.data.SeriesScaling;
import carousel.data.SeriesWindows;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.RandomSequence;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From a CSV file to a model that has learnt from it. */
class SequenceFilesTrainingTest {
    @TempDir
    private Path folder;

    @Test
    void forecastsBeatTheNaiveOnes() throws IOException {
        RandomSequence random = new RandomSequence(5, 0, 0);
        StringBuilder text = new StringBuilder("date;value\n");
        for (int k = 0; k < 400; k++) {
            // Two waves whose periods have no small common multiple, so that no season repeats them.
            double value = 50 + 10 * Math.sin(k / 3.0) + 6 * Math.sin(k * 0.8) + 0.2 * random.nextGaussian();
            text.append(2000 + k / 12).append('-').append(k % 12 < 9 ? "0" : "").append(1 + k % 12);
            text.append(';').append(Double.toString(value).replace('.', ',')).append('\n');
        }
        Path file = Files.writeString(folder.resolve("waves.csv"), text);
        Series series = Series.read(file, Series.Columns.DETECTED);
        PreparedSeries prepared =
                PreparedSeries.fit(series, SeriesParts.ofShares(400, 0, 0.2, 4), PreparedSeries.Settings.of(12, 4));
        SeriesWindows training = prepared.windows(Part.TRAINING, 1);
        SeriesWindows test = prepared.walkForward(Part.TEST);
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, ModelSpec.of(Form.sequence(1), Lstm.of(16), Dense.of(4)), 1);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.MEAN_SQUARED_ERROR)
                        .optimizer(Optimizer.adam(0.01))
                        .open()) {
            trainer.fit(new ShuffledBatches(training, 16, 3, ShuffledBatches.Mode.PER_EPOCH), null, 40);
            float[] predictions = trainer.predict(new SequentialBatches(test, 50));
            ForecastComparison comparison =
                    prepared.compare(test, predictions, 0).get(0);
            assertEquals(80, comparison.model().count());
            assertTrue(comparison.skill() > 0.7, comparison::toString);
            double[][] next = prepared.forecast(8, trainer::predict);
            for (int k = 0; k < 8; k++) {
                double expected = 50 + 10 * Math.sin((400 + k) / 3.0) + 6 * Math.sin((400 + k) * 0.8);
                assertEquals(expected, next[0][k], 6, "step " + k + " after the end");
            }
            assertEquals("2033-05", series.nextLabels(1).get(0));
        }
    }

    @Test
    void classifiesSequencesOfDifferentLengths() throws IOException {
        RandomSequence random = new RandomSequence(6, 0, 0);
        StringBuilder text = new StringBuilder();
        for (int k = 0; k < 300; k++) {
            boolean rising = random.nextInt(2) == 0;
            text.append(rising ? "rising" : "falling");
            int length = 3 + random.nextInt(20);
            for (int t = 0; t < length; t++) {
                text.append(',').append((rising ? t : length - t) * 2 + random.nextGaussian());
            }
            text.append('\n');
        }
        Path file = Files.writeString(folder.resolve("trends.csv"), text);
        LabelledSequences all = LabelledSequences.readRows(
                file, CsvOptions.DETECTED, LabelledSequences.FIRST, MissingValues.REFUSE, null);
        SequenceDataset training = all.range(0, 200);
        SeriesScaling scaling = SeriesScaling.fit(SeriesScaling.Kind.STANDARD, training);
        BucketedBatches batches = BucketedBatches.shuffled(ScaledSequences.alike(training, scaling), 16, 1);
        assertTrue(batches.paddingShare(0) < 0.1 && batches.paddingShareWithoutBuckets() > 0.3);
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, ModelSpec.of(Form.sequence(1), Lstm.of(12), Dense.of(2)), 1);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.SOFTMAX_CROSS_ENTROPY)
                        .optimizer(Optimizer.adam(0.02))
                        .open()) {
            trainer.fit(batches, null, 12);
            SequenceDataset test = ScaledSequences.alike(all.range(200, 300), scaling);
            Evaluation bucketed = trainer.evaluate(BucketedBatches.sorted(test, 32));
            Evaluation padded = trainer.evaluate(new SequentialBatches(test, 32));
            assertTrue(bucketed.accuracy() > 0.9, bucketed::toString);
            assertEquals(padded.accuracy(), bucketed.accuracy(), 1e-12);
            assertEquals(padded.loss(), bucketed.loss(), 1e-5, "padding should not count");
        }
    }
}
