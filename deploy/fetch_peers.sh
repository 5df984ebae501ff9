#!/bin/sh
# Fetches the DICOM peers of the test suite, dcmtk and Orthanc, into .peers/ beside the virtual environment.
#
# Nothing is installed: Debian packages are downloaded (apt-get download) and unpacked (dpkg -x), with every
# library they need, so no service starts and no root is needed once apt's package lists exist.
# .peers/bin/NAME runs each program with its own libraries. Running it again does nothing.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
peers=${READINGROOM_PEERS:-"$here/.peers"}
programs="echoscu storescu dcmsend findscu movescu getscu termscu storescp dcmdump dcmconv dump2dcm dcmqrscp wlmscpfs Orthanc"
packages="dcmtk orthanc orthanc-dicomweb"

say() { printf 'peers: %s\n' "$*"; }
fail() { printf 'peers: %s\n' "$*" >&2; exit 1; }

if [ -e "$peers/complete" ] && [ "$(cat "$peers/complete")" = "$packages" ]; then
    exit 0
fi
for tool in apt-get apt-cache dpkg; do
    command -v "$tool" >/dev/null || fail "dcmtk and Orthanc are unpacked from Debian packages, but there is no $tool here. Install dcmtk and orthanc yourself and put links to their programs into $peers/bin, then: echo '$packages' > $peers/complete"
done

if [ -z "$(apt-cache madison dcmtk 2>/dev/null)" ]; then
    [ "$(id -u)" = 0 ] || fail "apt has no package lists. Run once as root: apt-get update"
    say "reading apt's package lists"
    apt-get -qq update || fail "apt-get update failed: is there a network?"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
chmod 755 "$work"

# Everything dcmtk and Orthanc depend on, less the C library and the loader, which must be the machine's own.
# shellcheck disable=SC2086
apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances $packages |
    grep '^[a-z0-9]' | grep -v ':' | sort -u |
    grep -Ev '^(libc6|libc-bin|libgcc-s1|libcrypt1|gcc-.*-base|debconf.*|cdebconf|dpkg|tar|perl.*|libperl.*|adduser|passwd|login|lsb-base|sysvinit-utils|init-system-helpers|libpam.*|libaudit.*|libselinux1|libsemanage.*|libsepol.*|ucf|coreutils|sensible-utils|tzdata|locales.*|awk|mawk)$' \
    > "$work/names"
# Virtual packages have no version to download.
# shellcheck disable=SC2046
apt-cache show --no-all-versions $(cat "$work/names") 2>/dev/null | sed -n 's/^Package: //p' | sort -u > "$work/real"
[ "$(grep -Ecx 'dcmtk|orthanc|orthanc-dicomweb' "$work/real")" = 3 ] || fail "apt does not know dcmtk, orthanc and orthanc-dicomweb; as root, apt-get update may help"

say "downloading dcmtk and Orthanc with $(($(wc -l < "$work/real") - 3)) libraries (nothing is installed)"
# shellcheck disable=SC2046
(cd "$work" && apt-get -qq download $(cat real)) >"$work/log" 2>&1 ||
    fail "download failed: $(tail -n 1 "$work/log"). As root, apt-get update may help."

say "unpacking into $peers"
rm -rf "$peers"
mkdir -p "$peers/root" "$peers/bin"
for package in "$work"/*.deb; do
    dpkg -x "$package" "$peers/root" || fail "cannot unpack $(basename "$package")"
done

multiarch=$(cd "$peers/root/usr/lib" && echo *-linux-gnu*)
for program in $programs; do
    binary=$(ls "$peers/root/usr/bin/$program" "$peers/root/usr/sbin/$program" 2>/dev/null | head -n 1)
    [ -n "$binary" ] || continue
    cat > "$peers/bin/$program" <<WRAPPER
#!/bin/sh
# $program with its own libraries, not the machine's.
root=\$(CDPATH='' cd -- "\$(dirname -- "\$0")/../root" && pwd)
LD_LIBRARY_PATH="\$root/usr/lib/$multiarch:\$root/lib/$multiarch:\$root/usr/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
DCMDICTPATH="\$(ls -d "\$root"/usr/share/libdcmtk*/dicom.dic | head -n 1)"
export LD_LIBRARY_PATH DCMDICTPATH
exec "\$root${binary#"$peers/root"}" "\$@"
WRAPPER
    chmod 755 "$peers/bin/$program"
done

"$peers/bin/echoscu" --version >/dev/null 2>&1 || fail "echoscu does not run: $("$peers/bin/echoscu" --version 2>&1 | tail -n 1)"
"$peers/bin/Orthanc" --version >/dev/null 2>&1 || fail "Orthanc does not run: $("$peers/bin/Orthanc" --version 2>&1 | tail -n 1)"
printf '%s\n' "$packages" > "$peers/complete"
say "ready: dcmtk $("$peers/bin/echoscu" --version | sed -n 's/.*echoscu v\([0-9.]*\).*/\1/p' | head -n 1), Orthanc $("$peers/bin/Orthanc" --version | sed -n '1s/.* //p')"
