file(REMOVE ${CONTROL})
set(ENV{CAROUSEL_STANDIN_CONTROL} ${CONTROL})
execute_process(COMMAND ${PROGRAM} RESULT_VARIABLE result ERROR_VARIABLE said)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "the program ended with ${result}: ${said}")
endif()
foreach(line "leak: 2 device allocations" "leak: 1 streams" "leak: 1 retained contexts")
  if(NOT said MATCHES "${line}")
    message(FATAL_ERROR "'${line}' is not in: ${said}")
  endif()
endforeach()
file(READ ${CONTROL} words HEX)
string(SUBSTRING ${words} 0 16 magic)      # word 0, little-endian
string(SUBSTRING ${words} 80 16 live)      # word 5
string(SUBSTRING ${words} 96 16 bytes)     # word 6
string(SUBSTRING ${words} 448 16 leaked)   # word 28
set(expected "4c4553554f524143 0200000000000000 8000000000000000 0400000000000000")
if(NOT "${magic} ${live} ${bytes} ${leaked}" STREQUAL expected)
  message(FATAL_ERROR "control words: magic ${magic}, live ${live}, bytes ${bytes}, leaked ${leaked}")
endif()
