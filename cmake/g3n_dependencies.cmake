# What the library links, for its build and for programs that find it installed (cmake/g3nConfig.cmake.in): modules of
# pkg-config. The rest is header-only and stays inside.
set(G3N_MEDIA_MODULES libjpeg libpng libwebp libwebpdemux libswscale libavutil soxr)
