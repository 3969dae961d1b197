#define _GNU_SOURCE /* dladdr */
#include "rdkafka.h"

#include <dlfcn.h>

void *ff_library_if_loaded(const char *path)
{
    return dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
}

const char *ff_library_of(const void *function)
{
    Dl_info info;
    return dladdr(function, &info) != 0 ? info.dli_fname : NULL;
}

const char *ff_rdkafka_load(void *library, ff_rdkafka *functions)
{
#define FF_FIND(name, result, arguments) *(void **)&functions->name = dlsym(library, "rd_kafka_" #name);
#define FF_REQUIRE(name, result, arguments) \
    if (functions->name == NULL) \
        return "rd_kafka_" #name;
    FF_RDKAFKA_FUNCTIONS(FF_FIND)
    FF_RDKAFKA_OPTIONAL(FF_FIND)
    FF_RDKAFKA_FUNCTIONS(FF_REQUIRE)
#undef FF_FIND
#undef FF_REQUIRE
    return NULL;
}
