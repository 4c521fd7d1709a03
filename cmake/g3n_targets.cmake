# g3n_library(NAME sources... ) : one library per folder; its neighbours are linked by target_link_libraries beside it.
# What its sources may include follows from the folder: cmake/rooms.cmake.

set(G3N_WARNINGS -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wshadow -Wnon-virtual-dtor)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND G3N_WARNINGS -Wno-maybe-uninitialized)  # false in std::variant, above all under sanitizers
endif()
if(G3N_WARNINGS_AS_ERRORS)
  list(APPEND G3N_WARNINGS -Werror)
endif()

function(g3n_compile_options target)
  target_compile_options(${target} PRIVATE ${G3N_WARNINGS} -ffp-contract=off)
  if(G3N_SANITIZE STREQUAL "address")
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  elseif(G3N_SANITIZE STREQUAL "thread")
    target_compile_options(${target} PRIVATE -fsanitize=thread -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=thread)
  endif()
endfunction()

function(g3n_library name)
  add_library(${name} STATIC ${ARGN})
  if(CMAKE_CURRENT_SOURCE_DIR MATCHES "^${PROJECT_SOURCE_DIR}/src/")
    set_property(GLOBAL APPEND PROPERTY G3N_PARTS ${name})  # of the installed archive
  endif()
  g3n_include_path(${name})
  g3n_compile_options(${name})
endfunction()

function(g3n_program name)
  add_executable(${name} ${ARGN})
  g3n_include_path(${name})
  g3n_compile_options(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
