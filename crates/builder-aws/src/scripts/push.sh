# wharf: push the image
(
  set -eu
  cd "$CODEBUILD_SRC_DIR"
  if [ "${CODEBUILD_BUILD_SUCCEEDING:-0}" != 1 ]; then
    echo "wharf: the build failed, so nothing is pushed"
    exit 1
  fi
  for file in wharf/names/*; do
    name=$(cat "$file")
    rm -f wharf/pushed
    { docker push "$name" 2>&1 && : >wharf/pushed || true; } | tee wharf/push.log
    if [ -e wharf/pushed ]; then
      digest=$(sed -n 's/^.*digest: \(sha256:[0-9a-f]*\) size.*$/\1/p' wharf/push.log | tail -n 1)
    elif grep -qi immutable wharf/push.log; then
      built=$(docker image inspect --format '{{.Id}}' "$name")
      docker pull --quiet "$name"
      there=$(docker image inspect --format '{{.Id}}' "$name")
      if [ "$built" != "$there" ]; then
        echo "wharf: the tag of $name is immutable and means another image" >&2
        exit 1
      fi
      echo "wharf: the immutable tag of $name means this very image already"
      digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$name" |
        grep -F "${name%:*}@" | head -n 1)
      digest=${digest##*@}
    else
      exit 1
    fi
    [ -e wharf/digest ] || printf '%s' "$digest" >wharf/digest
  done
)
