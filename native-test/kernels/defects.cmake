# Planted bugs: the kernels are compiled again with one defect each, and the tests must see it. A defect replaces a text that occurs exactly
# once in a copy of a source, so the sources themselves know nothing of it. The list is at the end.
#
# defect(NAME UNIT FILE FILTER FROM TO): in kernels/FILE, FROM becomes TO; UNIT.cu is compiled with it, and of the tests in FILTER some must
# fail, in the way that tests fail: a program that crashes has not seen anything.

set(defects_folder ${CMAKE_CURRENT_BINARY_DIR}/defects)

function(defect name unit file filter from to)
  set(folder ${defects_folder}/${name})
  foreach(copied common.cuh ${unit}.cu)
    set(source ${kernel_folder}/${copied})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
    file(READ ${source} text)
    if(copied STREQUAL file)
      string(LENGTH "${text}" length)
      string(REPLACE "${from}" "" rest "${text}")
      string(LENGTH "${rest}" rest_length)
      string(LENGTH "${from}" from_length)
      math(EXPR occurrences "(${length} - ${rest_length}) / ${from_length}")
      if(NOT occurrences EQUAL 1)
        message(FATAL_ERROR "defect ${name}: its text should occur once in kernels/${file} but does ${occurrences} times:\n${from}")
      endif()
      string(REPLACE "${from}" "${to}" text "${text}")
    endif()
    set(changed ${folder}/${copied})
    file(CONFIGURE OUTPUT ${changed}.new CONTENT "@text@" @ONLY)
    # Only what is different is written: the rest need not be compiled again.
    configure_file(${changed}.new ${changed} COPYONLY)
  endforeach()
  set_source_files_properties(${folder}/${unit}.cu PROPERTIES LANGUAGE CXX)
  # The defective unit takes the place of the one in the archive.
  add_executable(defect_${name} ${folder}/${unit}.cu $<TARGET_OBJECTS:kernel_tests> $<TARGET_OBJECTS:emulated_device>)
  target_compile_definitions(defect_${name} PRIVATE CAROUSEL_EMULATION)
  target_link_libraries(defect_${name} PRIVATE carousel_kernels GTest::gtest_main)
  add_test(NAME defect.${name}
    COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:defect_${name}> -DFILTER=${filter} -P ${CMAKE_CURRENT_SOURCE_DIR}/kernels/caught.cmake)
endfunction()

# Shared memory and barriers.
defect(reduction_without_barrier reduce common.cuh "Reduce*"
  "    }\n    __syncthreads();\n    T sum = warpSums[0];" "    }\n    T sum = warpSums[0];")
defect(reduction_reused_too_early loss common.cuh "Losses*"
  "    // Whoever called this before may still be reading.\n    __syncthreads();\n" "")
defect(reduction_without_last_warp reduce common.cuh "Reduce*"
  "for (int warp = 1; warp < block / kWarp; warp++)" "for (int warp = 1; warp < block / kWarp - 1; warp++)")
defect(ballot_overwritten_too_early embedding embedding.cu "Embedding*"
  "            // All must have read what is meant before the next 256 rows.\n            __syncthreads();\n" "")
defect(barrier_in_a_branch embedding embedding.cu "Embedding*"
  "            // All must have read what is meant before the next 256 rows.\n            __syncthreads();"
  "            if (thread < width) {\n                __syncthreads();\n            }")
defect(largest_without_barrier loss loss.cu "Losses*"
  "    }\n    __syncthreads();\n    largest = {values[0]" "    }\n    largest = {values[0]")

defect(row_largest_without_barrier activation activation.cu "Activations*"
  "    }\n    __syncthreads();\n    R largest = ofWarps[0]" "    }\n    R largest = ofWarps[0]")

# Ends and pitches.
defect(fill_one_too_many elementwise elementwise.cu "Elementwise*" "e < n; e += elementStride()) {\n        y[e] = static_cast<R>(value)"
  "e <= n; e += elementStride()) {\n        y[e] = static_cast<R>(value)")
defect(add_overwrites elementwise elementwise.cu "Elementwise*" "y[e] += x[e];" "y[e] = x[e];")
defect(dropout_without_tail_guard elementwise elementwise.cu "Elementwise*" "e < n; e += period" "e <= n; e += period")
defect(dropout_past_its_period elementwise elementwise.cu "Elementwise*" "if (first < drawn) {" "if (true) {")
defect(sgd_one_turn_only update update.cu "Updates*"
  "e < n; e += elementStride()) {\n        R gradient = d[e] * scale;\n        R move" "e < n; e += n) {\n        R gradient = d[e] * scale;\n        R move")
defect(y_pitch_ignored lstm_pointwise lstm_pointwise.cu "LstmPointwise*" "y[n * yPitch + j] = output" "y[n * (yPitch > H ? H : yPitch) + j] = output")
defect(column_sums_last_chunk reduce reduce.cu "Reduce*" "(b + 1) * chunk < rows ? (b + 1) * chunk : rows" "(b + 1) * chunk")

# Rows and what is left out.
defect(padding_read elementwise elementwise.cu "Elementwise*" "y[e] = valid ? x[e] : R(0);" "y[e] = x[e] * (valid ? R(1) : R(0));")
defect(length_off_by_one lstm_pointwise lstm_pointwise.cu "LstmPointwise*" "t < lengths[n];\n}" "t <= lengths[n];\n}")
defect(left_out_row_read loss loss.cu "Losses*"
  "            leaveOut(d, columns, partial, rows, m);\n            continue;\n        }\n        int label"
  "            leaveOut(d, columns, partial, rows, m);\n        }\n        int label")
defect(earlier_row_overlooked embedding embedding.cu "Embedding*" "for (int end = row; end > 0; end -= kBlock)" "for (int end = row; end > kBlock; end -= kBlock)")

# Equations.
defect(gates_swapped lstm_pointwise lstm_pointwise.cu "LstmPointwise*" "R aF = gate[H];" "R aF = gate[2LL * H];")
defect(limit_ignored_backward lstm_pointwise lstm_pointwise.cu "LstmPointwise*" "dCell = 0;" "dCell *= 1;")
defect(limit_hides_not_a_number lstm_pointwise lstm_pointwise.cu "LstmPointwise*"
  "return c > clip ? clip : c < -clip ? -clip : c;" "return fmin(clip, fmax(-clip, c));")
defect(dh_not_consumed lstm_pointwise lstm_pointwise.cu "LstmPointwise*"
  "            total = dh[e] + (dy == nullptr ? R(0) : dy[n * dyPitch + place.column]);\n            dh[e] = 0;"
  "            total = dh[e] + (dy == nullptr ? R(0) : dy[n * dyPitch + place.column]);")
defect(overflow_passes_for_zero update update.cu "Updates*" "return notANumber<R>();" "return R(0);")
defect(philox_nine_rounds elementwise elementwise.cu "Elementwise*" "round < 10" "round < 9")
defect(later_of_equal_logits loss loss.cu "Losses*" "b.index < a.index" "b.index > a.index")
defect(softmax_not_shifted loss loss.cu "Losses*" "sum += exp(p[k] - largest.value)" "sum += exp(p[k])")
defect(activation_not_shifted activation activation.cu "Activations*" "sum += exp(from[k] - largest)" "sum += exp(from[k])")
defect(relu_hides_not_a_number activation activation.cu "Activations*" "y[e] = x[e] < R(0) ? R(0) : x[e];" "y[e] = fmax(x[e], R(0));")
defect(relu_gradient_at_zero activation activation.cu "Activations*" "dx[e] = y[e] > R(0) ? dy[e] : R(0);" "dx[e] = y[e] < R(0) ? R(0) : dy[e];")
defect(softmax_gradient_without_sum activation activation.cu "Activations*" "y[row + k] * (dy[row + k] - sum)" "y[row + k] * dy[row + k]")
defect(softmax_gradient_row_ignored activation activation.cu "Activations*" "sum += dy[row + k] * y[row + k];" "sum += dy[row + k] * y[k];")
defect(half_truncated elementwise elementwise.cu "Half*" "__float2half_rn(x[e])" "__half{static_cast<uint16_t>(__float2half_rn(x[e] * 0.9998f).bits)}")
defect(bfloat_truncated elementwise elementwise.cu "BFloat*" "__float2bfloat16_rn(x[e])" "__nv_bfloat16{static_cast<uint16_t>(__float2bfloat16_rn(x[e] * 0.998f).bits)}")
defect(scale_twice_at_the_end elementwise elementwise.cu "Elementwise*" "        x[e] *= rounded;" "        x[e] *= e + 1 == n ? rounded * rounded : rounded;")
