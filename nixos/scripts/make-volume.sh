# Makes the file system of a volume, when and only when there is nothing on its device.
#
#     make-volume.sh DEVICE TYPE LABEL
#
# Ours is left as it is; whatever else is found, be it a file system, a table of partitions, a part of a RAID or bytes that are not
# zero, is refused and stays as it is. Who means to use such a disk empties it: wipefs --all DEVICE, blkdiscard DEVICE.
device=$1 type=$2 label=$3
probe=$((4 * 1024 * 1024))

refuse() {
        echo "$device $1; it is not touched. When nothing on it is needed: wipefs --all $device, then blkdiscard -f $device" >&2
        exit 1
}

if [ ! -b "$device" ] && [ -e /run/udev/control ]; then udevadm wait --timeout=90 "$device" || true; fi
[ -e "$device" ] || refuse "is not there"

found=$(wipefs --no-act --noheadings --output TYPE,LABEL "$device")
if [ -n "$found" ]; then
        read -r has_type has_label <<<"$found"
        [ "$has_type" = "$type" ] && [ "$has_label" = "$label" ] && [ "$(wc -l <<<"$found")" = 1 ] && exit 0
        refuse "holds ${has_type:-something}${has_label:+ called $has_label}, and not $type called $label"
fi

# blkid knows many things and not all: where an empty disk begins and ends there are zeros.
size=$(blockdev --getsize64 "$device" 2>/dev/null || stat -L -c %s "$device")
for from in 0 $((size > probe ? size - probe : 0)); do
        if ! cmp --quiet --bytes=$((size < probe ? size : probe)) --ignore-initial="$from:0" "$device" /dev/zero; then
                refuse "has no file system, but is not empty"
        fi
done

echo "$device is empty; making $type called $label"
case $type in
xfs) mkfs.xfs -q -L "$label" "$device" ;;
ext4) mkfs.ext4 -q -m 0 -L "$label" "$device" ;;
*) refuse "cannot be made $type" ;;
esac
