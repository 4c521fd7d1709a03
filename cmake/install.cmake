# What make install brings besides the program: the library as one archive, its headers, a CMake package, the man page
# and bash completion.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(parts GLOBAL PROPERTY G3N_PARTS)
add_library(g3n_archive STATIC)
set_target_properties(g3n_archive PROPERTIES OUTPUT_NAME g3n EXPORT_NAME g3n LINKER_LANGUAGE CXX ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
foreach(part ${parts})
  target_sources(g3n_archive PRIVATE $<TARGET_OBJECTS:${part}>)
endforeach()
target_compile_features(g3n_archive INTERFACE cxx_std_20)
target_link_libraries(g3n_archive PRIVATE Threads::Threads PkgConfig::G3N_MEDIA ${CMAKE_DL_LIBS})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/g3n)
install(TARGETS g3n_archive EXPORT g3nTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/g3n DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT g3nTargets NAMESPACE g3n:: DESTINATION ${package_folder})
string(JOIN " " G3N_MEDIA_MODULES ${G3N_MEDIA_MODULES})
configure_package_config_file(cmake/g3nConfig.cmake.in ${PROJECT_BINARY_DIR}/g3nConfig.cmake INSTALL_DESTINATION ${package_folder}
                              NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/g3nConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/g3nConfig.cmake ${PROJECT_BINARY_DIR}/g3nConfigVersion.cmake DESTINATION ${package_folder})

set(pages ${PROJECT_BINARY_DIR}/pages)
add_custom_command(OUTPUT ${pages}/g3n.1 ${pages}/g3n.bash
                   COMMAND ${PROJECT_SOURCE_DIR}/tools/make_pages.sh $<TARGET_FILE:g3n> ${pages}
                   DEPENDS g3n ${PROJECT_SOURCE_DIR}/tools/make_pages.sh)
add_custom_target(pages ALL DEPENDS ${pages}/g3n.1 ${pages}/g3n.bash)
install(FILES ${pages}/g3n.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${pages}/g3n.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME g3n)
