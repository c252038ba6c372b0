/* Files of the tls commands: see tls_job.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/tls_job.h"
#include "sys/file.h"

int tls_failed(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        fputs("chronik-ctl: ", stderr);
        vfprintf(stderr, fmt, ap);
        fputc('\n', stderr);
        va_end(ap);
        return CTL_FAILED;
}

char *tls_path(const struct tls_job *job, const char *fmt, ...)
{
        char name[64], *path;
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(name, sizeof name, fmt, ap);
        va_end(ap);
        if (asprintf(&path, "%s/%s", job->dir, name) < 0)
                abort();
        return path;
}

bool tls_is_there(const char *path)
{
        struct file_info info;

        return file_info(path, &info) != -ENOENT;
}

void tls_file_add(struct tls_job *job, char *path, const char *content, bool key)
{
        job->files[job->files_count++] = (struct tls_made){ path, content, key };
}

int tls_file_put(const char *path, const char *content, bool key)
{
        return ctl_file_put(path, span_of(content, strlen(content)), key ? 0600 : 0644);
}

static int replace_all(struct tls_job *job)
{
        for (unsigned i = 0; i < job->files_count; i++) {
                int r = tls_file_put(job->files[i].path, job->files[i].content, job->files[i].key);

                if (r)
                        return tls_failed("%s: %s; a certificate and its key may be of two times now: do this again",
                                          job->files[i].path, strerror(-r));
        }
        return CTL_OK;
}

int tls_write_all(struct tls_job *job)
{
        int r = file_mkdirs(job->dir);

        if (r)
                return tls_failed("%s: %s", job->dir, strerror(-r));
        if (job->replace)
                return replace_all(job);
        for (unsigned i = 0; i < job->files_count; i++) {
                const struct tls_made *f = &job->files[i];

                r = file_create_new(f->path, f->key ? 0600 : 0644, span_of(f->content, strlen(f->content)));
                if (!r) {
                        job->written_count++;
                        continue;
                }
                while (job->written_count)
                        file_unlink(job->files[--job->written_count].path);
                return tls_failed("%s: %s; nothing was left there", f->path, strerror(-r));
        }
        file_sync_dir(job->dir);
        return CTL_OK;
}
