# wharf: build the image
(
  set -eu
  cd "$CODEBUILD_SRC_DIR"
  set --
  for file in wharf/arguments/*; do
    word=$(cat "$file"; printf x)
    set -- "$@" "${word%x}"
  done
  if [ -z "${DOCKER_BUILDKIT:-}" ]; then
    DOCKER_BUILDKIT=1
    export DOCKER_BUILDKIT
    if ! docker build --help >/dev/null 2>&1; then
      echo "wharf: the build image has no buildx, so Docker's classic builder builds"
      DOCKER_BUILDKIT=0
    fi
  fi
  docker build "$@" </dev/null
)
