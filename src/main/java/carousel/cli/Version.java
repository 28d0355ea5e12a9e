package carousel.cli;

import picocli.CommandLine.IVersionProvider;

/** The version of the jar, or a word where the classes do not come from one. */
final class Version implements IVersionProvider {
    static String number() {
        String version = Version.class.getPackage().getImplementationVersion();
        return version == null ? "development" : version;
    }

    @Override
    public String[] getVersion() {
        return new String[] {"carousel " + number()};
    }
}
