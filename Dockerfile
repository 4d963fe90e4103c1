# Builds the one static binary and an image of it with nothing else in it but helm and kustomize, which later
# versions render manifests with. No machine of the project's tests has a container engine: this file is read by
# people and by CI's builder, and the tests pack the same binary into an image of their own.
ARG RUST=1.95
ARG HELM=3.19.2
ARG KUSTOMIZE=5.7.1

FROM docker.io/alpine/helm:${HELM} AS helm
FROM registry.k8s.io/kustomize/kustomize:v${KUSTOMIZE} AS kustomize

FROM docker.io/library/rust:${RUST}-alpine AS build
RUN apk add --no-cache musl-dev
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package tidegate

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=helm /usr/bin/helm /usr/local/bin/helm
COPY --from=kustomize /app/kustomize /usr/local/bin/kustomize
COPY --from=build /src/target/release/tidegate /usr/local/bin/tidegate
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/tidegate"]
