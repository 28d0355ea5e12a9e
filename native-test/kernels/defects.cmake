# Planted bugs: the kernels are compiled again with one defect each, and the tests must see it. A defect replaces a text that occurs exactly
# once in a copy of a source, so the sources themselves know nothing of it. The list is at the end.
#
# defect(NAME UNIT FILE FILTER FROM TO): in kernels/FILE, FROM becomes TO; UNIT.cu is compiled with it, and of the tests in FILTER some must
# fail, in the way that tests fail: a program that crashes has not seen anything.

set(defects_folder ${CMAKE_CURRENT_BINARY_DIR}/defects)

function(defect name unit file filter from to)
  set(folder ${defects_folder}/${name})
  foreach(copied common.cuh lstm.cuh cluster.cuh lstm_resident.cuh ${unit}.cu)
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
    # Of the many kernels with resident weights those that the filters name: the others would only take their time to compile.
    string(REGEX REPLACE "\n(CAROUSEL_KERNEL_PAIR|CAROUSEL_WITH_INPUTS|CAROUSEL_GRID)\\((bf16_h64|bf16_h128|bf16_h768|bf16_h1024|f16|tf32_h64|f32_h64)[^\n]*" "" text "${text}")
    string(REGEX REPLACE "\n(CAROUSEL_RESIDENT|CAROUSEL_RESIDENT_INPUTS)\\(CAROUSEL_OF_[0-9]+, lstm_cluster, (bf16_h128|bf16_h512|f16|tf32|f32_h256)[^\n]*" "" text "${text}")
    set(changed ${folder}/${copied})
    file(CONFIGURE OUTPUT ${changed}.new CONTENT "@text@" @ONLY)
    # Only what is different is written: the rest need not be compiled again.
    configure_file(${changed}.new ${changed} COPYONLY)
  endforeach()
  set_source_files_properties(${folder}/${unit}.cu PROPERTIES LANGUAGE CXX)
  # The defective unit takes the place of the one in the archive.
  add_executable(defect_${name} ${folder}/${unit}.cu $<TARGET_OBJECTS:kernel_tests> $<TARGET_OBJECTS:emulated_device>)
  target_compile_definitions(defect_${name} PRIVATE CAROUSEL_EMULATION)
  # Their tests stop at the first thing that is wrong: compiling takes longer than running.
  target_compile_options(defect_${name} PRIVATE -O1)
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
defect(dropout_past_its_period elementwise elementwise.cu "Elementwise*" "if (e < n) {\n                take" "if (true) {\n                take")
defect(sgd_one_turn_only update update.cu "Updates*"
  "e < n; e += elementStride()) {\n        R gradient = d[e] * scale;\n        R move" "e < n; e += n) {\n        R gradient = d[e] * scale;\n        R move")
defect(y_pitch_ignored lstm_pointwise lstm_pointwise.cu "LstmPointwise*" "y[n * yPitch + j] = output" "y[n * (yPitch > H ? H : yPitch) + j] = output")
defect(column_sums_last_chunk reduce reduce.cu "Reduce*" "(b + 1) * chunk < rows ? (b + 1) * chunk : rows" "(b + 1) * chunk")

# Rows and what is left out.
defect(padding_read elementwise elementwise.cu "Elementwise*" "y[e] = valid ? x[e] : R(0);" "y[e] = x[e] * (valid ? R(1) : R(0));")
defect(length_off_by_one lstm_pointwise lstm.cuh "LstmPointwise*" "t < lengths[n];\n}" "t <= lengths[n];\n}")
defect(left_out_row_read loss loss.cu "Losses*"
  "            leaveOut(d, columns, partial, rows, m);\n            continue;\n        }\n        int label"
  "            leaveOut(d, columns, partial, rows, m);\n        }\n        int label")
defect(earlier_row_overlooked embedding embedding.cu "Embedding*" "for (int end = row; end > 0; end -= kBlock)" "for (int end = row; end > kBlock; end -= kBlock)")
defect(varied_padding_carried_away lstm_varied lstm_varied.cu "LstmVaried*" "R past = valid ? held(e) : R(1);" "R past = held(e);")
defect(normal_padding_left lstm_varied lstm_varied.cu "LstmVaried*" "                vRow[k] = 0;\n" "")
defect(normal_cells_before_others_are_done lstm_varied lstm_varied.cu "LstmVaried*"
  "            __syncthreads();\n            for (int j" "            for (int j")
defect(normal_gates_before_others_are_done lstm_varied lstm_varied.cu "LstmVaried*"
  "        __syncthreads();\n        sum = 0;" "        sum = 0;")

# Equations.
defect(gates_swapped lstm_pointwise lstm_pointwise.cu "LstmPointwise*" "R aF = gate[H];" "R aF = gate[2LL * H];")
defect(limit_ignored_backward lstm_pointwise lstm_pointwise.cu "LstmPointwise*" "dCell = 0;" "dCell *= 1;")
defect(limit_hides_not_a_number lstm_pointwise lstm.cuh "LstmPointwise*"
  "return value > clip ? clip : value < -clip ? -clip : value;" "return fmin(clip, fmax(-clip, value));")
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
defect(mask_reversed elementwise elementwise.cu "Elementwise*" "below ? drawn : rest" "below ? rest : drawn")
defect(output_sees_the_cell_after_zoneout lstm_varied lstm_varied.cu "LstmVaried*"
  "gate[3LL * H] += peepholes[2LL * H + j] * now.limitedCell;" "gate[3LL * H] += peepholes[2LL * H + j] * (variation.held(e) * before + (1 - variation.held(e)) * now.limitedCell);")
defect(gate_clip_ignored_backward lstm_varied lstm_varied.cu "LstmVaried*"
  "return isBeyond(a, gateClip) ? R(0) : gradientOf(f, a, y, dy);" "return gradientOf(f, a, y, dy);")
defect(coupled_forget_gradient_lost lstm_varied lstm_varied.cu "LstmVaried*" "dI -= dF;" "dI -= 0;")
defect(candidate_mask_ignored_backward lstm_varied lstm_varied.cu "LstmVaried*" "dCell * now.i * kept)" "dCell * now.i)")
defect(cell_zoneout_ignored_backward lstm_varied lstm_varied.cu "LstmVaried*" "held * dAfter + dCell * now.f;" "dCell * now.f;")
defect(recurrent_mask_ignored_backward lstm_varied lstm_varied.cu "LstmVaried*" "recurrentMask[e] * dSeen[e];" "dSeen[e];")
defect(recurrent_mask_ignored_forward lstm_varied lstm_varied.cu "LstmVaried*" "recurrentMask[e] * next;" "next;")
defect(y_before_zoneout lstm_varied lstm_varied.cu "LstmVaried*" "= valid ? next : R(0);" "= valid ? value : R(0);")
defect(projected_gradient_held lstm_varied lstm_varied.cu "LstmVaried*"
  "return valid ? (1 - past) * sum : R(0);" "return valid ? sum : R(0);")
defect(peephole_sums_overwritten lstm_varied lstm_varied.cu "LstmVaried*" "sums[H] += daF * before;" "sums[H] = daF * before;")
defect(variance_of_a_sample lstm_varied lstm_varied.cu "LstmVaried*" "(squares) / width + epsilon" "(squares) / (width - 1) + epsilon")
defect(normal_gradient_without_its_mean lstm_varied lstm_varied.cu "LstmVaried*" "(d - meanD - normal" "(d + meanD - normal")
defect(rows_sum_without_gains lstm_varied lstm_varied.cu "LstmVaried*" "sum += gained;\n            product += gained * normal[k];" "sum += d[k];\n            product += gained * normal[k];")
defect(softplus_slope lstm_varied lstm_varied.cu "LstmVaried*" "default: return dy * sigmoid(x);" "default: return dy * y;")
defect(bfloat_truncated elementwise elementwise.cu "BFloat*" "__float2bfloat16_rn(x[e])" "__nv_bfloat16{static_cast<uint16_t>(__float2bfloat16_rn(x[e] * 0.998f).bits)}")
defect(scale_twice_at_the_end elementwise elementwise.cu "Elementwise*" "        x[e] *= rounded;" "        x[e] *= e + 1 == n ? rounded * rounded : rounded;")

# Resident weights: what the threads of a block and the blocks of a cluster wait for.
set(resident "*LstmResident*/lstm_resident_bf16_h32:*LstmResident*/lstm_resident_f32_h32")
set(clusters "*LstmResident*/lstm_cluster_bf16_h256")
defect(matrix_without_barrier lstm_resident lstm_resident.cuh "${resident}"
  "fill & 1);\n        } else {\n            __syncthreads();" "fill & 1);\n        } else {")
defect(first_matrix_without_barrier lstm_resident lstm_resident.cuh "${resident}"
  "            clusterSync();\n        } else {\n            __syncthreads();" "            clusterSync();\n        } else {")
defect(one_matrix_in_a_block lstm_resident lstm_resident.cuh "${resident}" "turn % P::kMatrices * P::kRows" "turn % 1 * P::kRows")
defect(one_matrix_in_a_cluster lstm_cluster lstm_resident.cuh "${clusters}" "turn % P::kMatrices * P::kRows" "turn % 1 * P::kRows")
defect(matrix_not_awaited lstm_cluster lstm_resident.cuh "${clusters}" "barrierWait(barriers + (turn & 1), fill & 1);" "static_cast<void>(turn + fill);")
defect(matrix_awaited_by_one_thread lstm_cluster lstm_resident.cuh "${clusters}"
  "barrierWait(barriers + (turn & 1), fill & 1);" "if (threadIdx.x == 0) {\n                barrierWait(barriers + (turn & 1), fill & 1);\n            }")
defect(other_parity_awaited lstm_cluster lstm_resident.cuh "${clusters}" "fill & 1);" "~fill & 1);")
defect(forward_fill_miscounted lstm_cluster lstm_resident.cuh "${clusters}" "matrices.await(turn, (turn - 1) / 2);" "matrices.await(turn, turn / 2);")
defect(cluster_has_not_met lstm_cluster lstm_resident.cuh "${clusters}" "            clusterSync();" "            __syncthreads();")
defect(row_of_bytes_not_expected lstm_cluster lstm_resident.cuh "${clusters}" "kWords * 4);" "(kWords - 4) * 4);")
defect(forward_parts_without_barrier lstm_cluster lstm_resident.cuh "${clusters}"
  "                }\n                __syncthreads();\n" "                }\n")
defect(backward_parts_without_barrier lstm_cluster lstm_resident.cuh "*LstmResident.Backward*/lstm_cluster_bf16_h256"
  "d[1][e / 4][e % 4];\n            }\n            __syncthreads();" "d[1][e / 4][e % 4];\n            }")
defect(padding_not_sent lstm_cluster lstm_resident.cuh "${clusters}"
  "                    matrices.put(turn, P::row(cell), u / P::kPerWord" "                    if (exists[cell])\n                    matrices.put(turn, P::row(cell), u / P::kPerWord")
defect(padding_not_written lstm_resident lstm_resident.cuh "*LstmResident.Backward*/lstm_resident_bf16_h32:*LstmResident.Backward*/lstm_resident_f32_h32"
  "                matrices.put(turn, P::row(cell), u * kGates" "                if (exists[cell]) matrices.put(turn, P::row(cell), u * kGates")
defect(sent_after_the_last_step lstm_cluster lstm_resident.cuh "${clusters}"
  "if (more && call.time(step + 1) < live)" "if (call.time(step + 1) < live)")
defect(sent_to_half_of_the_cluster lstm_cluster lstm_resident.cuh "*LstmResident*/lstm_cluster_f32_h128" "u % P::kPerWord, P::kPerWord);" "u % P::kPerWord, 2);")

# Over the grid: letters that are of another turn, and a matrix that is written while others still read it.
set(grids "*LstmResident*/lstm_grid_bf16_h512")
defect(letters_of_any_turn lstm_grid lstm_resident.cuh "${grids}" "all && static_cast<unsigned>(come[e] >> 32)" "all || static_cast<unsigned>(come[e] >> 32)")
defect(one_set_of_letters lstm_grid lstm_resident.cuh "${grids}" "post(letters + (turn & 1) * kWords" "post(letters + (turn & 0) * kWords")
defect(letters_not_awaited_by_all lstm_grid lstm_resident.cuh "${grids}"
  "static_cast<unsigned>(come[e]);\n                }\n            }\n            __syncthreads();" "static_cast<unsigned>(come[e]);\n                }\n            }")
defect(first_tile_ignored lstm_grid lstm_resident.cuh "${grids}" "firstTile + static_cast<int>(blockIdx.x" "static_cast<int>(blockIdx.x")

# And what they compute.
defect(neighbours_in_the_wrong_half lstm_resident lstm_resident.cuh "${resident}" "u % 2 == 0 ? word[0]" "u % 2 == 1 ? word[0]")
defect(gate_pairs_swapped lstm_resident lstm_resident.cuh "${resident}" "q / kForwardSteps * 2 + e % 2" "(1 - q / kForwardSteps) * 2 + e % 2")
defect(not_a_number_hidden lstm_resident lstm_resident.cuh "${resident}" "x < limit ? limit : x" "x >= limit ? x : limit")
defect(bias_of_another_gate lstm_resident_inputs lstm_resident.cuh "*LstmResidentForward*/lstm_resident_bf16_h32_c32" "b, gate * H + u);" "b, (3 - gate) * H + u);")
defect(input_gates_swapped lstm_resident_inputs lstm_resident.cuh "*LstmResidentForward*/lstm_resident_bf16_h32_c32" "q / kInputSteps * 2 + e % 2" "(1 - q / kInputSteps) * 2 + e % 2")
defect(parts_lost lstm_cluster lstm_resident.cuh "${clusters}" "part = 1; part < WK; part++" "part = 1; part < WK - 1; part++")
defect(lanes_exchange_the_wrong_half lstm_resident lstm_resident.cuh "*LstmResident*/lstm_resident_f32_h32"
  "half[n][k] = (upper ? d[n + 4][k] : d[n][k])" "half[n][k] = (upper ? d[n][k] : d[n + 4][k])")
defect(tf32_truncated lstm_resident lstm_resident.cuh "*LstmResident*/lstm_resident_tf32_h32" "return roundTf32(value);" "return bitsOf(value);")
defect(last_unit_forgotten lstm_resident lstm_resident.cuh "${resident}" "k + 1 < H, d.h, at + 1" "k + 2 < H, d.h, at + 1")
defect(forward_begins_at_the_wrong_slot lstm_resident lstm_resident.cuh "${resident}"
  "call.before(call.time(call.from))" "call.after(call.time(call.from))")
defect(directions_share_their_arrays lstm_resident lstm_resident.cuh "${resident}"
  "const ForwardArrays d = blockIdx.y == 0 ? d0 : d1;" "const ForwardArrays d = blockIdx.y < 2 ? d0 : d1;")
defect(resident_limit_ignored_backward lstm_resident lstm_resident.cuh "*LstmResident.Backward*/lstm_resident_bf16_h32:*LstmResident.Backward*/lstm_resident_f32_h32" "dCell = 0;" "dCell *= 1;")
defect(gradient_of_the_shorter_lost lstm_resident lstm_resident.cuh "*LstmResident.Backward*/lstm_resident_bf16_h32:*LstmResident.Backward*/lstm_resident_f32_h32" "t < length[cell] ? sums[cell] : dh[cell];" "sums[cell];")
defect(last_step_of_the_longest_skipped lstm_resident lstm_resident.cuh "${resident}" "int steps = lengths == nullptr ? T : lengths[n];" "int steps = lengths == nullptr ? T : lengths[n] - 1;")
defect(cell_of_the_step_after lstm_resident lstm_resident.cuh "*LstmResident.Backward*/lstm_resident_bf16_h32:*LstmResident.Backward*/lstm_resident_f32_h32" "c[cell] = before[cell];" "c[cell] = c[cell];")
