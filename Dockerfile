# Images:
#   docker build -t carousel .                        for NVIDIA GPUs (docker run --gpus all)
#   docker build -t carousel:cpu --target cpu .       for plain machines
#   docker build -t carousel:spark --target spark .   for drivers and executors of Spark on Kubernetes; --target spark-cuda with GPUs
# Volumes: /data for data sets, /runs for run folders. A SIGTERM (docker stop) ends a training run with a checkpoint.

FROM maven:3.9.9-eclipse-temurin-17 AS build
WORKDIR /src
# The dependencies first: they change less often than the sources, and their layer is kept.
COPY pom.xml ./
COPY .mvn .mvn
COPY src/main/assembly src/main/assembly
COPY src/main/launcher src/main/launcher
RUN mvn -B -q -DskipTests package
COPY LICENSE ./
COPY src/main src/main
RUN mvn -B -q -DskipTests -Dmaven.test.skip=true clean package
# JCuda's native libraries lie ready: nothing is unpacked when a container starts, and its file system may be read-only.
RUN mkdir /natives && cd /natives \
    && for jar in /src/target/carousel/lib/*-natives-*.jar; do jar xf "$jar" lib && rm "$jar"; done \
    && mv lib/*.so . && rm -r lib libJNvPTXCompiler-*.so
# A Java runtime with the modules that the program uses, the Vector API among them, and a heap of three quarters of a container's memory
# instead of one.
RUN jlink --add-modules java.base,java.desktop,java.logging,java.management,java.xml,jdk.incubator.vector,jdk.management,jdk.unsupported,jdk.zipfs \
    --add-options="-XX:MaxRAMPercentage=75" --strip-debug --no-header-files --no-man-pages --compress=2 --output /java

FROM ubuntu:22.04 AS cpu
LABEL org.opencontainers.image.title="Carousel" \
      org.opencontainers.image.description="An LSTM engine for Java: training and inference on the CPU" \
      org.opencontainers.image.licenses="Apache-2.0"
# Fonts for curves.png.
RUN apt-get update && apt-get install -y --no-install-recommends fontconfig fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home carousel && install -d -o carousel -g carousel /data /runs
COPY --from=build /java /opt/java
COPY --from=build /src/target/carousel /opt/carousel
ENV JAVA_HOME=/opt/java \
    PATH=/opt/carousel/bin:/opt/java/bin:$PATH \
    LANG=C.UTF-8
USER 10001
VOLUME ["/data", "/runs"]
# A run folder that is not named goes to runs/, that is, to the volume.
WORKDIR /
HEALTHCHECK --interval=5m --timeout=2m --start-period=1m CMD ["carousel", "doctor"]
ENTRYPOINT ["/opt/carousel/bin/carousel"]
CMD ["train"]

# Spark's own image with Carousel's jar: its entry point starts drivers and executors as Kubernetes asks for them.
FROM apache/spark:4.0.1-scala2.13-java17-ubuntu AS spark
LABEL org.opencontainers.image.title="Carousel on Spark" \
      org.opencontainers.image.description="Driver and executor of Apache Spark with Carousel's jar" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chmod=644 /src/target/carousel-spark.jar /opt/carousel/carousel-spark.jar

# The same for executors with GPUs: the libraries that the image below has, from its own base.
FROM spark AS spark-cuda
LABEL org.opencontainers.image.title="Carousel on Spark with GPUs" \
      org.opencontainers.image.description="Driver and executor of Apache Spark with Carousel's jar, CUDA and cuDNN" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=nvidia/cuda:12.6.3-cudnn-runtime-ubuntu22.04 /usr/local/cuda-12.6/targets/x86_64-linux/lib /opt/cuda
COPY --from=nvidia/cuda:12.6.3-cudnn-runtime-ubuntu22.04 /usr/lib/x86_64-linux-gnu/libcudnn*.so* /opt/cuda/
COPY --from=build /natives /opt/natives
ENV LD_LIBRARY_PATH=/opt/natives:/opt/cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu22.04 AS cuda
LABEL org.opencontainers.image.title="Carousel" \
      org.opencontainers.image.description="An LSTM engine for Java: training and inference on NVIDIA GPUs, and on the CPU" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update && apt-get install -y --no-install-recommends fontconfig fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home carousel && install -d -o carousel -g carousel /data /runs
COPY --from=build /java /opt/java
COPY --from=build /natives /opt/natives
COPY --from=build /src/target/carousel /opt/carousel
# Where Java looks for native libraries begins with LD_LIBRARY_PATH; CAROUSEL_OPTS is left to who runs the image.
ENV JAVA_HOME=/opt/java \
    PATH=/opt/carousel/bin:/opt/java/bin:$PATH \
    LANG=C.UTF-8 \
    LD_LIBRARY_PATH=/opt/natives:$LD_LIBRARY_PATH
USER 10001
VOLUME ["/data", "/runs"]
WORKDIR /
HEALTHCHECK --interval=5m --timeout=2m --start-period=1m CMD ["carousel", "doctor"]
ENTRYPOINT ["/opt/carousel/bin/carousel"]
CMD ["train"]
