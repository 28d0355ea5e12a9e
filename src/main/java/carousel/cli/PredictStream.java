package carousel.cli;

import carousel.data.DataException;
import carousel.layer.Form;
import carousel.layer.LstmSession;
import carousel.layer.Model;
import carousel.training.Evaluator;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.HashMap;
import java.util.Map;

/**
 * Answers each line of a stream at once: a line is the next time step of a sequence, with {@code NAME:} before it where there is
 * more than one. An empty line, or a name alone, starts that sequence anew.
 */
final class PredictStream {
    private static final int FLOATS_A_LINE = 1 << 20;

    private final Model model;
    private final LstmSession session;
    private final PredictionReport report;
    private final InputScaling scaling;
    private final Map<String, Integer> clients = new HashMap<>();
    private final Map<Integer, Long> steps = new HashMap<>();

    PredictStream(Model model, LstmSession session, PredictionReport report) {
        Form input = model.spec().input();
        if (input.kind() != Form.Kind.SEQUENCE || input.features() > FLOATS_A_LINE) {
            throw new IllegalArgumentException("--stream takes a model that reads numbers but this one reads " + input
                    + (report.config() == null
                            ? ", and does not say of what: use it from a program"
                            : ": use generate"));
        }
        this.model = model;
        this.session = session;
        this.report = report;
        this.scaling = Task.inputs(report.config());
    }

    /**
     * Answers until the input ends. A line that cannot be read is reported and changes nothing.
     *
     * @return how many such lines there were
     */
    int run(BufferedReader in, PrintWriter out, PrintWriter err, boolean json) throws IOException {
        int refused = 0;
        int number = 0;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            number++;
            try {
                String answer = answer(line, number, json);
                if (answer != null) {
                    out.println(answer);
                    Main.requireReader(out);
                }
            } catch (DataException e) {
                refused++;
                err.println("carousel: " + e.getMessage());
                err.flush();
            }
        }
        return refused;
    }

    /** The answer to a line; null where there is none to give. */
    private String answer(String line, int number, boolean json) throws DataException {
        int colon = line.indexOf(':');
        String name = colon < 0 ? "" : line.substring(0, colon).strip();
        String values = line.substring(colon + 1).strip();
        if (values.isEmpty()) {
            Integer known = clients.get(name);
            if (known != null) {
                session.reset(known);
                steps.remove(known);
            }
            return null;
        }
        float[] step = SequenceFile.step(
                "the standard input", number, values, model.spec().input().features(), scaling);
        int client = client(name, number);
        float[] outputs = Evaluator.predictions(
                session.run(new int[] {client}, 1, step), model.spec().output().features(), report.loss());
        long position = steps.merge(client, 1L, Long::sum);
        if (!json) {
            return (name.isEmpty() ? "" : name + ": ") + report.line(outputs, null);
        }
        JsonObject object = new JsonObject();
        if (!name.isEmpty()) {
            object.addProperty("client", name);
        }
        object.addProperty("step", position);
        report.add(object, outputs, null);
        return object.toString();
    }

    private int client(String name, int number) throws DataException {
        Integer known = clients.get(name);
        if (known != null) {
            return known;
        }
        if (clients.size() == session.clients()) {
            throw new DataException("the standard input, line " + number + ": there should be at most "
                    + session.clients() + " sequences but '" + name + "' is one more: raise --clients");
        }
        clients.put(name, clients.size());
        return clients.size() - 1;
    }
}
