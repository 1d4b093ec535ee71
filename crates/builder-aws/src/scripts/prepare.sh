# wharf: find a Docker daemon and log in to the registry
(
  set -eu
  cd "$CODEBUILD_SRC_DIR"
  if [ ! -x wharf/probe/executable ] || [ ! -L wharf/probe/link ]; then
    echo "wharf: the source was unpacked without its modes or links" >&2
    exit 1
  fi
  if ! docker version >/dev/null 2>&1 && command -v dockerd >/dev/null 2>&1; then
    echo "wharf: starting a Docker daemon"
    dockerd >/tmp/wharf-dockerd.log 2>&1 &
    tries=0
    until docker version >/dev/null 2>&1; do
      tries=$((tries + 1))
      if [ "$tries" -ge 60 ] || ! kill -0 "$!" 2>/dev/null; then
        tail -n 20 /tmp/wharf-dockerd.log >&2
        break
      fi
      sleep 1
    done
  fi
  docker version >/dev/null
  case "$WHARF_LOGIN" in
    ecr)
      password=$(aws ecr get-login-password --region "$WHARF_REGION")
      printf '%s' "$password" | docker login --username AWS --password-stdin "$WHARF_REGISTRY" ;;
    ecr-public)
      password=$(aws ecr-public get-login-password --region us-east-1)
      printf '%s' "$password" | docker login --username AWS --password-stdin "$WHARF_REGISTRY" ;;
    password)
      printf '%s' "$WHARF_REGISTRY_PASSWORD" |
        docker login --username "$WHARF_REGISTRY_USERNAME" --password-stdin "$WHARF_REGISTRY" ;;
  esac
)
