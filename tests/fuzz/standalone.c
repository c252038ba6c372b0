/* A main() for fuzz targets without libFuzzer: runs the target once for each file given, and for each file in each
 * directory given. Fails when there was none, so that a lost corpus does not go unnoticed. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Return: inputs run; a negative number when one could not be read. */
static int run_file(const char *path, size_t size)
{
        FILE *f = fopen(path, "rb");
        uint8_t *data = malloc(size ? size : 1); /* of exactly this size: the sanitizer sees one byte too many */
        int r = 1;

        if (!f || !data || fread(data, 1, size, f) != size) {
                fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
                r = -1;
        } else {
                (void)LLVMFuzzerTestOneInput(data, size); /* always 0; failing is aborting */
        }
        free(data);
        if (f)
                fclose(f);
        return r;
}

static int run_path(const char *path)
{
        struct dirent *e;
        struct stat st;
        int total = 0;
        DIR *d;

        if (stat(path, &st)) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                return -1;
        }
        if (!S_ISDIR(st.st_mode))
                return run_file(path, (size_t)st.st_size);
        d = opendir(path);
        while (d && total >= 0 && (e = readdir(d))) {
                char inner[4096];
                int r;

                if (e->d_name[0] == '.')
                        continue;
                snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
                r = run_path(inner);
                total = r < 0 ? r : total + r;
        }
        if (d)
                closedir(d);
        return total;
}

int main(int argc, char **argv)
{
        int total = 0;

        for (int i = 1; i < argc; i++) {
                int r = run_path(argv[i]);

                if (r < 0)
                        return 1;
                total += r;
        }
        printf("%d inputs\n", total);
        return total ? 0 : 1;
}
