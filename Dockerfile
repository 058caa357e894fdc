# syntax=docker/dockerfile:1
# A static program, and nothing beside it: no shell, no root, nothing to update but zdmig itself.
#
#   docker build -t zdmig .                      the program alone
#   docker build -t zdmig:ci --target ci .       with a shell, git, kubectl and pg_dump: for pipelines,
#                                                a gate that asks Kubernetes, and plan --verify
#
# Your migrations on top of it, as one image that goes through all environments:
#
#   FROM zdmig
#   COPY migrations /work/migrations
#   COPY zdmig.toml /work/
FROM rust:1.94-alpine AS build
RUN apk add --no-cache build-base
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY migrations migrations
COPY src src
COPY tests tests
RUN cargo build --release --locked --bin zdmig && mkdir -p /root-of-it/tmp /root-of-it/work \
    && chmod 1777 /root-of-it/tmp

FROM alpine:3.23 AS ci
RUN apk add --no-cache git kubectl postgresql18-client && adduser -D -u 65532 zdmig
COPY --from=build /build/target/release/zdmig /usr/local/bin/zdmig
USER 65532:65532
WORKDIR /work

FROM scratch
COPY --from=build /root-of-it /
COPY --from=build /build/target/release/zdmig /zdmig
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["/zdmig"]
CMD ["--help"]
