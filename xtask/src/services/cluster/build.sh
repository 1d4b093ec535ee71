#!/usr/bin/env bash
# build.sh FOLDER: builds the programs of Kubernetes 1.20 from Debian 12's own source package into FOLDER/bin, in about
# 7 minutes on two cores. What it needs from the distribution is installed by whoever calls it.
set -euo pipefail
folder=$1
programs="kube-apiserver kube-controller-manager kube-scheduler kubelet"
rm -rf "$folder/src" "$folder/apt"
mkdir -p "$folder/src" "$folder/bin" "$folder/apt/lists/partial" "$folder/apt/archives/partial"
cd "$folder"

# Lists of its own, so that the machine's stay as they are.
sources="$folder/apt/debian.sources"
if [[ -f /etc/apt/sources.list.d/debian.sources ]]; then
  awk '/^Types:/ {print "Types: deb-src"; next} {print}' /etc/apt/sources.list.d/debian.sources >"$sources"
else
  printf 'Types: deb-src\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: main\nSigned-By: %s\n' \
    /usr/share/keyrings/debian-archive-keyring.gpg >"$sources"
fi
apt=(apt-get -qq -o "Dir::Etc::sourcelist=$sources" -o "Dir::Etc::sourceparts=-"
  -o "Dir::State::lists=$folder/apt/lists" -o "Dir::Cache::archives=$folder/apt/archives"
  -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o "APT::Sandbox::User=root")
"${apt[@]}" update
"${apt[@]}" source --download-only kubernetes
tar xf kubernetes_*.orig.tar.gz -C src --strip-components=1
cd src

# The reflect2 of 1.20 crashes when it is built with a Go newer than 1.17; Debian's own package of it does not.
rm -f vendor/github.com/modern-go/reflect2/*.{go,s}
cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} vendor/github.com/modern-go/reflect2/
rm -f vendor/github.com/modern-go/reflect2/*_test.go
# Root without CAP_SYS_RESOURCE, as in many sandboxes, may not lower a process's OOM score.
sed -i 's/defaultSandboxOOMAdj int = -998/defaultSandboxOOMAdj int = 0/' pkg/kubelet/dockershim/docker_sandbox.go
sed -i -E 's/(guaranteedOOMScoreAdj int = )-997/\10/' pkg/kubelet/qos/policy.go
# A kubelet changes settings of the kernel; on a machine that is not its own it only says what it would change.
sed -i 's/b := KernelTunableModify/b := KernelTunableWarn/' pkg/kubelet/cm/container_manager_linux.go

export KUBE_GIT_VERSION=v1.20.2 KUBE_GIT_COMMIT=debian KUBE_GIT_TREE_STATE=clean KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20
export GOCACHE="$folder/src/.cache"
for go in /usr/lib/go-1.19/bin; do [[ -d $go ]] && PATH=$go:$PATH; done
unset GOFLAGS GOTOOLCHAIN GO111MODULE
make WHAT="$(printf 'cmd/%s ' $programs)"
for program in $programs; do
  cp _output/local/bin/linux/*/"$program" "$folder/bin/"
done
cd "$folder"
chmod -R u+w src
rm -rf src apt kubernetes_*
