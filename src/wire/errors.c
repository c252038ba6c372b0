/* Looking up error codes. */
#include "wire/errors.h"

#include "base/macros.h"

struct row {
        const char *name;
        const char *message;
        bool retriable;
};

/* Codes count up from -1 without a gap, so that the row of a code is at code + 1; test-wire-errors checks it. */
#define ROW(code, name, retriable, message) [(code) + 1] = { #name, message, retriable },
static const struct row rows[] = { WIRE_ERRORS(ROW) };

static const struct row *find(int16_t code)
{
        return code >= -1 && (size_t)(code + 1) < ARRAY_LEN(rows) ? &rows[code + 1] : &rows[0];
}

const char *wire_error_name(int16_t code)
{
        return find(code)->name;
}

struct str wire_error_message(int16_t code)
{
        return str_of(find(code)->message);
}

bool wire_error_retriable(int16_t code)
{
        return find(code)->retriable;
}
