#include "object/xml.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>

#include "base/macros.h"

enum { PATH_SIZE = 256, DOCUMENT_MAX = 64 << 20 };

struct walk {
        XML_Parser parser;
        int (*fn)(void *arg, const char *path, struct str text);
        void *arg;
        int result; /* what ended it early; 0 if nothing did */
        unsigned depth;
        size_t path_ends[OBJECT_XML_DEPTH_MAX]; /* length of the path before each open element */
        size_t path_len;
        char path[PATH_SIZE];
        /* Of the innermost element only: no document of interest has text before an element inside. */
        size_t text_len;
        char text[OBJECT_XML_TEXT_MAX];
};

static void walk_stop(struct walk *w, int result)
{
        if (!w->result)
                w->result = result;
        XML_StopParser(w->parser, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
        struct walk *w = arg;
        const char *local = strrchr(name, ':');
        int n;

        local = local ? local + 1 : name;
        if (w->depth == OBJECT_XML_DEPTH_MAX) {
                walk_stop(w, -EBADMSG);
                return;
        }
        n = snprintf(w->path + w->path_len, PATH_SIZE - w->path_len, "%s%s", w->depth ? "/" : "", local);
        if (n < 0 || (size_t)n >= PATH_SIZE - w->path_len) {
                walk_stop(w, -EBADMSG);
                return;
        }
        w->path_ends[w->depth++] = w->path_len;
        w->path_len += (size_t)n;
        w->text_len = 0;
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
        struct walk *w = arg;
        int r;

        if (w->result) /* expat still reports the end of an empty element after it was stopped at its start */
                return;
        r = w->fn(w->arg, w->path, (struct str){ w->text, w->text_len });
        if (r) {
                walk_stop(w, r);
                return;
        }
        w->path_len = w->path_ends[--w->depth];
        w->path[w->path_len] = '\0';
        w->text_len = 0;
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int len)
{
        struct walk *w = arg;

        if ((size_t)len > OBJECT_XML_TEXT_MAX - w->text_len) {
                walk_stop(w, -EBADMSG);
                return;
        }
        memcpy(w->text + w->text_len, text, (size_t)len);
        w->text_len += (size_t)len;
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                               int internal)
{
        walk_stop(arg, -EBADMSG);
}

static bool is_space(uint8_t c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int object_xml_walk(struct span document, int (*fn)(void *arg, const char *path, struct str text), void *arg)
{
        CLEANUP(freep) struct walk *w = calloc(1, sizeof *w);
        enum XML_Status status;
        enum XML_Error error;

        if (!w)
                return -ENOMEM;
        /* White space that a store sends while it has no answer yet; before a declaration it would be an error. */
        while (document.len && is_space(document.data[0])) {
                document.data++;
                document.len--;
        }
        if (!document.len || document.len > DOCUMENT_MAX)
                return -EBADMSG;
        w->parser = XML_ParserCreate("UTF-8");
        if (!w->parser)
                return -ENOMEM;
        w->fn = fn;
        w->arg = arg;
        XML_SetUserData(w->parser, w);
        XML_SetElementHandler(w->parser, on_start, on_end);
        XML_SetCharacterDataHandler(w->parser, on_text);
        XML_SetStartDoctypeDeclHandler(w->parser, on_doctype);
        status = XML_Parse(w->parser, (const char *)document.data, (int)document.len, 1);
        error = XML_GetErrorCode(w->parser);
        XML_ParserFree(w->parser);
        if (w->result)
                return w->result;
        if (status == XML_STATUS_OK)
                return 0;
        return error == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG;
}
