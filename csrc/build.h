/* What was built, and how; setup.py defines the first three. */
#ifndef FF_BUILD_H
#define FF_BUILD_H

#ifndef FF_VERSION
#define FF_VERSION "unknown"
#endif
#ifndef FF_COMMIT
#define FF_COMMIT "unknown"
#endif
#ifndef FF_PROFILE
#define FF_PROFILE "unknown"
#endif

#if defined(__clang__)
#define FF_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define FF_COMPILER "gcc " __VERSION__
#else
#define FF_COMPILER "unknown"
#endif

#ifdef __OPTIMIZE__
#define FF_OPTIMIZED 1
#else
#define FF_OPTIMIZED 0
#endif

#endif
